// SPDX-License-Identifier: BSD-3-Clause
// Fragments on their way through the pipeline: between a worker's pass and conntrack/fragment.h.
#ifndef WEIR_SWITCH_FRAGMENTS_H
#define WEIR_SWITCH_FRAGMENTS_H

#include <stdbool.h>

#include "conntrack/fragment.h"
#include "switch/pipeline.h"

// Makes what the pass needs. 0, or -ENOMEM or another -errno. Main thread, before the worker runs.
int fragments_start(struct pass *pass);
// Main thread, after the worker has ended.
void fragments_stop(struct pass *pass);

// A packet with PACKET_FRAGMENT that is to be tracked, without a verdict. Of a first fragment *key
// is its key, or zeros; of another it is filled in. False: it has got its verdict, held or dropped.
// Worker.
bool fragment_key(struct pass *pass, struct packet *packet, uint32_t zone, struct conn_key *key);
// A first fragment that fragment_key let pass has got VERDICT_DROP since: what follows of its
// datagram is dropped, too, and counts at the same port. Worker.
void fragment_refuse(struct pass *pass, const struct packet *packet, uint32_t zone);
// A later one that fragment_key let pass, when all before it in the burst are decided: false, with
// its verdict, if its first was refused meanwhile. Worker.
bool fragment_stays(struct pass *pass, struct packet *packet, uint32_t zone);

// If held fragments are to go on, makes a burst of some that looks as if it had just come by their
// port; there it has been counted. It lies in the stash and in the worker's memory until
// stage_release. 0: none. Worker.
unsigned fragments_follow(struct pass *pass);
// Forgets what has waited too long, and counts what was held of it as dropped. Worker, once a
// round.
void fragments_give_up(struct pass *pass);

#endif
