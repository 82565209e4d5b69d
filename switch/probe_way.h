// SPDX-License-Identifier: BSD-3-Clause
// The way of probes (switch/probe.h): into an instance of a network function, and back from it.
// Worker, all of it.
#ifndef WEIR_SWITCH_PROBE_WAY_H
#define WEIR_SWITCH_PROBE_WAY_H

#include "switch/pipeline.h"

// Sends those of the worker's instances that are to be sent. Uses the pass's burst; outside of
// pipeline_run.
void probes_send(struct pass *pass);

// Whether a packet from a network function's port is the answer to a probe of its. Then it has done
// what it was sent for, and has its verdict.
bool probe_came_back(const struct pass *pass, struct packet *p);

// Ends what answers probes of an NF that routes, from its port with `gets_echoes`: before keys are
// made, since by its key it would be a connection's packet. A client may have one between the same
// addresses.
void probes_end_echoes(struct pass *pass);

#endif
