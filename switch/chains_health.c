// SPDX-License-Identifier: BSD-3-Clause
// Which instances of network functions are in service. Main thread; workers read `state`.
#include "base/log.h"
#include "switch/private.h"

enum instance_state nf_port_state(const struct port *port)
{
	if (!port || !port->vhost || !vhost_port_pairs(port->vhost))
		return INSTANCE_DOWN;
	if (atomic_load_explicit(&port->is_stalled, memory_order_relaxed))
		return INSTANCE_STALLED;
	return INSTANCE_IN_SERVICE;
}

static enum instance_state state_of(const struct nf *nf)
{
	enum instance_state left = nf_port_state(nf->ports[CHAIN_LEFT]);
	return left != INSTANCE_IN_SERVICE ? left : nf_port_state(nf->ports[CHAIN_RIGHT]);
}

static void tell(struct weir_switch *sw, const struct chain *chain, size_t hop, size_t instance)
{
	struct nf *nf = chain->nfs[hop][instance];
	struct instance_status status;
	instance_status(sw, chain, nf, &status);
	if (nf->told == status.state)
		return;
	bool was_in_service = nf->told == INSTANCE_IN_SERVICE;
	nf->told = (uint8_t)status.state;
	const char *name = chain->config.name, *what = chain->config.hops[hop].nf;
	const char *why = status.state == INSTANCE_DOWN ? "is not up" : "takes no packets";
	if (status.state == INSTANCE_IN_SERVICE)
		log_info(LOG_SWITCH, "chain %s: %s at port %s is in service", name, what, nf->left);
	else if (was_in_service)
		log_warning(LOG_SWITCH, "chain %s: %s is out of service: port %s %s", name, what,
			status.port, why);
	else
		log_info(LOG_SWITCH, "chain %s: %s is not in service yet: port %s %s", name, what,
			status.port, why);
	if (sw->on_chain_change)
		sw->on_chain_change(
			sw->on_chain_change_ctx, &chain->config, hop, instance, &status);
}

void chains_look(struct weir_switch *sw, bool telling)
{
	for (size_t c = 0; c < sw->nchains; c++) {
		struct chain *chain = sw->chains[c];
		for (size_t h = 0; h < chain->config.nhops; h++)
			for (size_t i = 0; i < chain->config.hops[h].ninstances; i++) {
				struct nf *nf = chain->nfs[h][i];
				atomic_store_explicit(
					&nf->state, (uint8_t)state_of(nf), memory_order_relaxed);
				if (telling)
					tell(sw, chain, h, i);
			}
	}
}

void switch_on_chain_change(struct weir_switch *sw, switch_chain_change_fn *fn, void *ctx)
{
	sw->on_chain_change = fn;
	sw->on_chain_change_ctx = ctx;
}
