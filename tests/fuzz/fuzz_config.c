// SPDX-License-Identifier: BSD-3-Clause
// Any bytes as a configuration. The input is a document, and behind bytes 0xff (which no document
// may hold) a path and a value to set there. Whatever is accepted must survive printing and reading
// back, equal itself, and land inside its bounds.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void must_explain(const struct error *err)
{
	must(err->code > 0 && err->text[0] && strlen(err->text) < sizeof(err->text));
	for (const char *c = err->text; *c; c++)
		must((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static bool has_bridge(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->nbridges; i++) {
		if (!strcmp(config->bridges[i].name, name))
			return true;
	}
	return false;
}

static bool has_group(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->ngroups; i++) {
		if (!strcmp(config->groups[i].name, name))
			return true;
	}
	return false;
}

static void rules_must_be_in_bounds(
	const struct config *config, const struct config_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct config_rule *rule = &rules[i];
		must(rule->allow <= 1 && rule->protocol <= RULE_ANY_PROTOCOL);
		must(rule->icmp_type >= -1 && rule->icmp_type <= 255);
		must(rule->icmp_code >= -1 && rule->icmp_code <= 255);
		must(rule->icmp_code < 0 || rule->icmp_type >= 0);
		must(rule->nsports <= RULE_RANGES_MAX && rule->ndports <= RULE_RANGES_MAX);
		for (uint16_t k = 0; k < rule->ndports; k++)
			must(rule->dports[k].first <= rule->dports[k].last);
		must((rule->peer_kind == PEER_GROUP) == (rule->group[0] != '\0'));
		must(rule->peer_kind != PEER_GROUP || has_group(config, rule->group));
	}
}

// Each a VM's that has no groups, and none twice.
static void ports_must_serve(
	const struct config *config, const struct config_chain *chain, bool *seen)
{
	for (size_t i = 0; i < chain->nhops; i++) {
		const struct config_hop *hop = &chain->hops[i];
		must(hop->nf[0] && hop->on_failure <= HOP_CLOSED && hop->mode <= HOP_ROUTED);
		must(hop->ninstances >= 1 && hop->ninstances <= HOP_INSTANCES_MAX);
		for (size_t k = 0; k < hop->ninstances; k++) {
			const struct config_instance *instance = &hop->instances[k];
			bool one_armed = !strcmp(instance->left, instance->right);
			unsigned arms = 0;
			for (size_t p = 0; p < config->nports; p++) {
				const struct config_port *port = &config->ports[p];
				if (strcmp(port->name, instance->left) != 0 &&
					strcmp(port->name, instance->right) != 0)
					continue;
				must(!port->ngroups && port->kind == PORT_KIND_VHOST_USER);
				must(!seen[p]);
				seen[p] = true;
				arms++;
			}
			must(arms == (one_armed ? 1 : 2));
		}
	}
}

static void chains_must_be_in_bounds(const struct config *config)
{
	must(config->nchains <= CHAINS_MAX);
	for (size_t i = 0; i < config->nchains; i++) {
		const struct config_chain *chain = &config->chains[i];
		bool seen[PORTS_MAX] = {false};
		must(chain->name[0] && chain->protocol <= RULE_ANY_PROTOCOL);
		must(chain->ndports <= RULE_RANGES_MAX);
		must(chain->nhops >= 1 && chain->nhops <= CHAIN_HOPS_MAX);
		must(chain->from.kind != CHAIN_END_GROUP || has_group(config, chain->from.name));
		must(chain->to.kind != CHAIN_END_GROUP || has_group(config, chain->to.name));
		ports_must_serve(config, chain, seen);
	}
}

static void must_be_in_bounds(const struct config *config)
{
	must(config->sw.nworkers >= 1 && config->sw.nworkers <= WORKERS_MAX);
	must(config->nports <= PORTS_MAX && config->nbridges <= BRIDGES_MAX);
	must(has_bridge(config, "default"));
	for (size_t i = 0; i < config->nports; i++) {
		const struct config_port *port = &config->ports[i];
		must(port->name[0] && strlen(port->name) < sizeof(port->name));
		must(has_bridge(config, port->bridge));
		must(port->mtu >= 68 && port->mtu <= 9216);
		if (port->kind == PORT_KIND_DPDK) {
			must(port->dpdk.device[0] && port->dpdk.nmembers <= DEVICE_MEMBERS);
			must(port->dpdk.queues >= 1 && port->dpdk.queues <= QUEUE_PAIRS_MAX);
		} else {
			must(port->vhost_user.socket[0] && port->vhost_user.mode <= 0777);
			must(port->vhost_user.queues >= 1 &&
				port->vhost_user.queues <= QUEUE_PAIRS_MAX);
		}
		must(!(port->addresses.mac[0] & 1) && port->addresses.nips <= ADDRESSES_MAX);
		bool tagged = port->vlan.kind != VLAN_UNTAGGED;
		must(tagged != (port->vlan.members[0] & 1));
		must(!(port->vlan.members[VLAN_COUNT / 64 - 1] >> 63));
		must(port->ngroups <= PORT_GROUPS_MAX);
		for (uint16_t k = 0; k < port->ngroups; k++)
			must(has_group(config, port->groups[k]));
	}
	must(config->sw.connections >= 1024 && config->sw.timeouts_s[1] >= 1);
	for (size_t i = 0; i < config->ngroups; i++) {
		const struct config_group *group = &config->groups[i];
		rules_must_be_in_bounds(config, group->to_vm, group->nto_vm);
		rules_must_be_in_bounds(config, group->from_vm, group->nfrom_vm);
	}
	chains_must_be_in_bounds(config);
}

static struct doc *reread(const struct doc *doc, bool with_defaults)
{
	char *text = doc_print(doc, with_defaults);
	must(text != NULL);
	struct doc *again = doc_parse(NULL, text, strlen(text), NULL);
	must(again != NULL);
	char *same = doc_print(again, with_defaults);
	must(same && !strcmp(text, same));
	free(text);
	free(same);
	return again;
}

static void exercise(const struct doc *doc)
{
	struct error err = {0};
	struct config *config = NULL;
	struct doc *again = reread(doc, false);
	struct doc *complete = reread(doc, true);
	must(doc_equal(doc, again));
	must(doc_diff(doc, doc, NULL, NULL) == 0);
	must(doc_diff(doc, again, NULL, NULL) == 0);
	int rc = doc_check(doc, &config, &err);
	// Which error comes first depends on the order of keys.
	must((doc_check(again, NULL, NULL) == 0) == (rc == 0));
	must((doc_check(complete, NULL, NULL) == 0) == (rc == 0));
	if (rc < 0) {
		must(!config);
		must_explain(&err);
	} else {
		must_be_in_bounds(config);
		must(doc_diff(doc, complete, NULL, NULL) == 0);
	}
	config_free(config);
	doc_free(again);
	doc_free(complete);
}

static void edit(struct doc *doc, char *path)
{
	struct error err = {0};
	char *value = strchr(path, 0xff);
	if (value)
		*value++ = '\0';
	struct doc *before = doc_copy(doc);
	if (doc_set(doc, path, value ? value : "", &err) < 0) {
		must_explain(&err);
	} else {
		must(doc_has(doc, path));
		exercise(doc);
		must(doc_diff(before, doc, NULL, NULL) >= 0);
		must(doc_remove(doc, path, NULL) == 0);
		must(!doc_has(doc, path));
	}
	doc_free(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct error err = {0};
	const uint8_t *end = memchr(data, 0xff, len);
	size_t doc_len = end ? (size_t)(end - data) : len;
	struct doc *doc = doc_parse("fuzz.yaml", (const char *)data, doc_len, &err);
	if (!doc) {
		must_explain(&err);
		return 0;
	}
	exercise(doc);
	if (end) {
		char *path = strndup((const char *)end + 1, len - doc_len - 1);
		if (path)
			edit(doc, path);
		free(path);
	}
	doc_free(doc);
	return 0;
}
