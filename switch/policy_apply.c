// SPDX-License-Identifier: BSD-3-Clause
// What a configuration changes of rules and connections. Main thread.
//
// Life cycle: rules are compiled aside and published with a snapshot; those that they replace are
// freed behind its grace period. The connection table comes with the first port that has groups, or
// the first chain or network function, and stays: connections outlive every change of configuration
// but the end of the port that they count for. The policy epoch grows when an answer that a
// connection remembers may have become another one.
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "switch/private.h"

static bool needs_table(const struct config *config)
{
	for (size_t i = 0; i < config->nports; i++)
		if (config->ports[i].ngroups || config->ports[i].nf)
			return true;
	return config->nchains;
}

static int new_table(struct policy_change *c, struct error *err)
{
	struct conn_table_options options = {
		.connections = c->sw->config.connections,
		.nworkers = c->sw->nworkers,
		.hugepages = c->sw->config.hugepages != HUGEPAGES_OFF,
	};
	if (getrandom(options.secret, sizeof(options.secret), 0) != sizeof(options.secret))
		return error_set(err, errno, "no random numbers: %s", strerror(errno));
	return conn_table_new(&c->conns, &options, err);
}

int policy_prepare(struct policy_change *c, struct weir_switch *sw, const struct config *config,
	struct error *err)
{
	*c = (struct policy_change){.sw = sw, .config = config};
	int rc = !sw->conns && needs_table(config) ? new_table(c, err) : 0;
	// Groups that no port is in yet are listed, too.
	bool wanted = sw->rules || c->conns || config->ngroups;
	if (!rc && wanted && (!sw->rules || rules_differ(sw->rules, config)))
		rc = rules_compile(&c->rules, config, sw->nworkers, sw->rules, err);
	if (rc)
		policy_abandon(c);
	return rc;
}

void policy_abandon(struct policy_change *c)
{
	conn_table_free(c->conns);
	rules_free(c->rules);
	c->conns = NULL;
	c->rules = NULL;
}

void policy_commit(struct policy_change *c)
{
	struct weir_switch *sw = c->sw;
	const struct config_switch *before = &sw->config, *after = &c->config->sw;
	if (c->conns)
		sw->conns = c->conns;
	if (c->rules) {
		// Rules that no snapshot has seen, because the last one could not be published.
		if (sw->old_rules)
			rules_free(sw->rules);
		else
			sw->old_rules = sw->rules;
		sw->rules = c->rules;
		sw->epoch++;
	}
	if (sw->conns && memcmp(before->timeouts_s, after->timeouts_s, sizeof(after->timeouts_s)))
		sw->look_again = true;
	sw->epoch += before->built_in != after->built_in;
	// What takes a restart keeps its old effect.
	sw->config.poll = after->poll;
	sw->config.built_in = after->built_in;
	sw->config.tcp_pickup = after->tcp_pickup;
	memcpy(sw->config.timeouts_s, after->timeouts_s, sizeof(after->timeouts_s));
}

void policy_port_changes(
	struct weir_switch *sw, const struct config_port *before, const struct config_port *after)
{
	bool groups = before->ngroups != after->ngroups ||
		      memcmp(before->groups, after->groups, sizeof(after->groups));
	bool addresses = memcmp(&before->addresses, &after->addresses, sizeof(after->addresses));
	bool vlans = memcmp(&before->vlan, &after->vlan, sizeof(after->vlan));
	// Whoever its addresses stand for, in its VLANs. What went to it may not any more.
	sw->epoch += groups || before->nf != after->nf || ((addresses || vlans) && after->ngroups);
}

void policy_port_moves(struct weir_switch *sw, const struct config_port *config)
{
	sw->epoch += config->ngroups && config->addresses.nips;
}

void policy_port_leaves(struct weir_switch *sw, const struct port *port)
{
	if (sw->conns)
		conn_port_leaves(sw->conns, port->id);
}

void policy_published(struct weir_switch *sw)
{
	// The janitor has the new time-outs now.
	if (sw->look_again)
		conn_look_again(sw->conns);
	sw->look_again = false;
	rules_free(sw->old_rules);
	sw->old_rules = NULL;
}

void policy_destroy(struct weir_switch *sw)
{
	rules_free(sw->old_rules);
	rules_free(sw->rules);
	conn_table_free(sw->conns);
}
