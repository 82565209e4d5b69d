// SPDX-License-Identifier: BSD-3-Clause
#include "switch/fragments.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/likely.h"
#include "switch/nsh.h"
#include "switch/parse.h"
#include "switch/policy.h"
#include "switch/worker.h"

// A port that is gone has taken its counters with it.
static void count_lost(
	void *ctx, uint16_t port, enum drop_reason reason, const uint8_t *head, uint32_t len)
{
	struct pass *pass = ctx;
	const struct port_view *view = pass->snapshot->views[port];
	if (view)
		pass_drop(pass, view->port, reason, 1, head, len);
}

int fragments_start(struct pass *pass)
{
	struct fragment_options options = {
		.hold = worker_tsc_hz() / 1000 * FRAGMENT_HOLD_MS,
		.lost = count_lost,
		.ctx = pass,
	};
	if (getrandom(options.secret, sizeof(options.secret), 0) != sizeof(options.secret))
		return -errno;
	pass->fragments = fragments_new(&options);
	pass->fragments_due = UINT64_MAX;
	pass->fragments_ready = false;
	return pass->fragments ? 0 : -ENOMEM;
}

void fragments_stop(struct pass *pass)
{
	fragments_free(pass->fragments);
	pass->fragments = NULL;
}

// What the stages and the loop look at in each round, without a call.
static void note(struct pass *pass)
{
	pass->fragments_due = fragments_due(pass->fragments);
	pass->fragments_ready = fragments_ready(pass->fragments);
}

// Where its first was. A port that is gone has taken its counters with it.
static void drop(const struct pass *pass, struct packet *p, struct fragment_drop why)
{
	policy_drop(pass, p, why.reason, pass->snapshot->views[why.port] ? why.port : pass->in->id);
}

// As fragments_see. What is held comes by its port again, and tells its chain there once more.
static enum fragment_verdict see(struct pass *pass, struct packet *p, uint32_t zone,
	struct conn_key *key, struct fragment_drop *why)
{
	if (unlikely(pass->in->is_nsh))
		nsh_on(p);
	else if (unlikely(pass->in->marks))
		packet_set_tag(p, p->vlan_tpid, p->vlan_tci);
	enum fragment_verdict verdict = fragments_see(
		pass->fragments, p, zone, pass->in->id, pass->tsc, key, why);
	if (unlikely(pass->in->is_nsh))
		nsh_off(p);
	else if (unlikely(pass->in->marks))
		packet_set_tag(p, 0, 0);
	return verdict;
}

bool fragment_key(struct pass *pass, struct packet *p, uint32_t zone, struct conn_key *key)
{
	struct fragment_drop why;
	enum fragment_verdict verdict = see(pass, p, zone, key, &why);
	if (verdict == FRAGMENT_DROP)
		drop(pass, p, why);
	else if (verdict == FRAGMENT_HELD)
		p->verdict = VERDICT_HELD;
	note(pass);
	return verdict == FRAGMENT_PASS;
}

void fragment_refuse(struct pass *pass, const struct packet *p, uint32_t zone)
{
	const struct fragment_drop why = {.reason = (enum drop_reason)p->drop,
		.port = p->flags & PACKET_TO_RECEIVER ? p->out_port : pass->in->id};
	fragments_refuse(pass->fragments, p, zone, pass->in->id, why);
	note(pass);
}

bool fragment_stays(struct pass *pass, struct packet *p, uint32_t zone)
{
	struct fragment_drop why = fragments_fate(pass->fragments, p, zone, pass->in->id);
	if (why.reason != DROP_NONE)
		drop(pass, p, why);
	return why.reason == DROP_NONE;
}

unsigned fragments_follow(struct pass *pass)
{
	uint16_t port;
	unsigned n;
	while ((n = fragments_take(pass->fragments, &pass->burst, &port))) {
		pass->in = pass->snapshot->views[port];
		if (pass->in)
			break;
		fragments_give_back(pass->fragments);
	}
	// What is on its way is not ready any more, but for what does not fit the burst.
	note(pass);
	if (!n)
		return 0;
	pass->source = NULL;
	pass->pair = 0;
	pass->counters = NULL;
	memset(pass->mbufs, 0, n * sizeof(pass->mbufs[0]));
	return n;
}

void fragments_give_up(struct pass *pass)
{
	fragments_expire(pass->fragments, pass->tsc);
	note(pass);
}
