// SPDX-License-Identifier: BSD-3-Clause
// Which instances of network functions are in service. Main thread; workers read `state`, and send
// the probes that are asked for here.
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "switch/private.h"

static uint64_t now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static enum instance_state port_state(const struct port *port)
{
	if (!port || !port->vhost || !vhost_port_pairs(port->vhost))
		return INSTANCE_DOWN;
	uint8_t taking = atomic_load_explicit(&port->taking, memory_order_relaxed);
	if (taking == PORT_NOT_SEEN)
		return INSTANCE_DOWN;
	if (taking == PORT_TAKES_NOTHING)
		return INSTANCE_STALLED;
	return INSTANCE_IN_SERVICE;
}

// Also notes which of its ports is to blame.
static enum instance_state state_of(
	struct nf *nf, const struct config_probe *probe, uint64_t time_ns)
{
	enum instance_state left = port_state(nf->ports[CHAIN_LEFT]);
	enum instance_state right = port_state(nf->ports[CHAIN_RIGHT]);
	enum instance_state ports = left != INSTANCE_IN_SERVICE ? left : right;
	nf->blamed = left == INSTANCE_IN_SERVICE && right != INSTANCE_IN_SERVICE;
	if (left == INSTANCE_DOWN || right == INSTANCE_DOWN)
		probe_begin(&nf->probe);
	else if (!probe->interval_ns)
		probe_end(&nf->probe);
	else if (!probe_is_answered(&nf->probe, probe, time_ns) && ports == INSTANCE_IN_SERVICE)
		return INSTANCE_SILENT;
	return ports;
}

// Asks for a probe if one is due, and wakes the worker that sends it.
static void ask(
	struct weir_switch *sw, struct nf *nf, const struct config_probe *probe, uint64_t time_ns)
{
	uint64_t number;
	if (probe_is_due(&nf->probe, probe->interval_ns, time_ns) &&
		getrandom(&number, sizeof(number), GRND_NONBLOCK) == sizeof(number) && number)
		probe_ask(&nf->probe, number, time_ns);
	// Again, if it found no room.
	if (probe_is_to_be_sent(&nf->probe))
		worker_send_probes(&sw->workers[nf->ports[CHAIN_LEFT]->owner[0]]);
}

static const char *reason(enum instance_state state)
{
	switch (state) {
	case INSTANCE_DOWN:
		return " is not up";
	case INSTANCE_STALLED:
		return " takes no packets";
	default:
		return ": no answer to its probe";
	}
}

static void tell(struct weir_switch *sw, const struct chain *chain, size_t hop, size_t instance)
{
	struct nf *nf = chain->nfs[hop][instance];
	struct instance_status status;
	// Of those that stay as they are, which are mostly all, nothing is added up.
	if (nf->told == atomic_load_explicit(&nf->state, memory_order_relaxed))
		return;
	instance_status(sw, chain, nf, &status);
	bool was_in_service = nf->told == INSTANCE_IN_SERVICE;
	nf->told = (uint8_t)status.state;
	const char *name = chain->config.name, *what = chain->config.hops[hop].nf;
	const char *why = reason(status.state);
	if (status.state == INSTANCE_IN_SERVICE)
		log_info(LOG_SWITCH, "chain %s: %s at port %s is in service", name, what, nf->left);
	else if (was_in_service)
		log_warning(LOG_SWITCH, "chain %s: %s is out of service: port %s%s", name, what,
			status.port, why);
	else
		log_info(LOG_SWITCH, "chain %s: %s is not in service yet: port %s%s", name, what,
			status.port, why);
	if (sw->on_chain_change)
		sw->on_chain_change(
			sw->on_chain_change_ctx, &chain->config, hop, instance, &status);
}

static void look(struct weir_switch *sw, const struct chain *chain, size_t hop, size_t instance,
	uint64_t time_ns, bool telling)
{
	struct nf *nf = chain->nfs[hop][instance];
	const struct config_probe *probe = &chain->config.hops[hop].probe;
	enum instance_state state = state_of(nf, probe, time_ns);
	atomic_store_explicit(&nf->state, (uint8_t)state, memory_order_relaxed);
	if (!telling)
		return;
	tell(sw, chain, hop, instance);
	if (state != INSTANCE_DOWN && probe->interval_ns)
		ask(sw, nf, probe, time_ns);
}

void chains_look(struct weir_switch *sw, bool telling)
{
	uint64_t time_ns = sw->nchains ? now_ns() : 0;
	for (size_t c = 0; c < sw->nchains; c++) {
		const struct chain *chain = sw->chains[c];
		for (size_t h = 0; h < chain->config.nhops; h++)
			for (size_t i = 0; i < chain->config.hops[h].ninstances; i++)
				look(sw, chain, h, i, time_ns, telling);
	}
}

void switch_on_chain_change(struct weir_switch *sw, switch_chain_change_fn *fn, void *ctx)
{
	sw->on_chain_change = fn;
	sw->on_chain_change_ctx = ctx;
}
