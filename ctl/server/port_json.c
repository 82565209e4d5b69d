// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/port_json.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/server/method.h"

static const char *const kind_names[] = {
	[PORT_KIND_VHOST_USER] = "vhost-user",
	[PORT_KIND_DPDK] = "dpdk",
};
static const char *const state_names[] = {
#define X(id, name) [PORT_##id] = name,
	PORT_STATES(X)
#undef X
};
static const char *const listens_names[] = {[LISTENS_VMM] = "vmm", [LISTENS_SWITCH] = "switch"};

// Virtio's own names, without VIRTIO_, VIRTIO_NET_F_ and the like.
static const struct {
	unsigned bit;
	const char *name;
} features[] = {
	{0, "csum"},
	{1, "guest_csum"},
	{2, "ctrl_guest_offloads"},
	{3, "mtu"},
	{5, "mac"},
	{7, "guest_tso4"},
	{8, "guest_tso6"},
	{9, "guest_ecn"},
	{10, "guest_ufo"},
	{11, "host_tso4"},
	{12, "host_tso6"},
	{13, "host_ecn"},
	{14, "host_ufo"},
	{15, "mrg_rxbuf"},
	{16, "status"},
	{17, "ctrl_vq"},
	{18, "ctrl_rx"},
	{19, "ctrl_vlan"},
	{21, "guest_announce"},
	{22, "mq"},
	{23, "ctrl_mac_addr"},
	{24, "notify_on_empty"},
	{26, "log_all"},
	{27, "any_layout"},
	{28, "indirect_desc"},
	{29, "event_idx"},
	{30, "protocol_features"},
	{32, "version_1"},
	{33, "iommu_platform"},
	{34, "ring_packed"},
	{35, "in_order"},
};

const char *port_kind_name(enum config_port_kind kind)
{
	return kind_names[kind];
}

const char *port_state_name(enum port_state state)
{
	return state_names[state];
}

json_t *port_state_names(void)
{
	json_t *names = json_array();
	for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
		json_array_append_new(names, json_string(state_names[i]));
	return names;
}

static json_t *feature_names(uint64_t bits)
{
	json_t *names = json_array();
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (bits & (1ull << features[i].bit))
			json_array_append_new(names, json_string(features[i].name));
	return names;
}

static bool is_member(const struct config_vlan *vlan, unsigned id)
{
	return vlan->members[id / 64] >> (id % 64) & 1;
}

// "trunk 10,20-29 native 1"; a trunk of everything is "trunk all".
static void vlan_text(const struct config_vlan *vlan, char *text, size_t size)
{
	if (vlan->kind == VLAN_UNTAGGED)
		snprintf(text, size, "untagged");
	else if (vlan->kind == VLAN_ACCESS)
		snprintf(text, size, "access %u", vlan->access);
	if (vlan->kind != VLAN_TRUNK)
		return;
	size_t n = (size_t)snprintf(text, size, "trunk ");
	for (unsigned first = 1; first < VLAN_COUNT - 1 && n < size; first++) {
		if (!is_member(vlan, first))
			continue;
		unsigned last = first;
		while (last + 1 < VLAN_COUNT - 1 && is_member(vlan, last + 1))
			last++;
		const char *comma = text[n - 1] == ' ' ? "" : ",";
		if (first == 1 && last == VLAN_COUNT - 2)
			n += (size_t)snprintf(text + n, size - n, "all");
		else if (first == last)
			n += (size_t)snprintf(text + n, size - n, "%s%u", comma, first);
		else
			n += (size_t)snprintf(text + n, size - n, "%s%u-%u", comma, first, last);
		first = last;
	}
	if (vlan->native && n < size)
		snprintf(text + n, size - n, " native %u", vlan->native);
}

static json_t *queues_json(const struct port_info *info)
{
	json_t *queues = json_array();
	for (unsigned i = 0; i < info->nqueues; i++) {
		const struct queue_info *q = &info->queues[i];
		json_array_append_new(queues,
			json_pack("{s:i, s:b, s:i, s:o, s:o}", "queue", (int)i, "running",
				(int)q->running, "worker_cpu", q->worker_cpu, "from_vm",
				method_traffic(&q->from_vm), "to_vm", method_traffic(&q->to_vm)));
	}
	return queues;
}

static json_t *drops_json(const struct port_info *info)
{
	json_t *drops = json_object();
	for (unsigned r = DROP_NONE + 1; r < DROP_REASON_COUNT; r++)
		if (info->drops[r])
			json_object_set_new(
				drops, drop_name(r), json_integer((json_int_t)info->drops[r]));
	return drops;
}

static json_t *vm_json(const struct port_info *info)
{
	const struct port_status *st = &info->status;
	return json_pack("{s:s, s:i, s:I, s:I, s:i}", "listens",
		listens_names[info->config->vhost_user.listens], "guest_mtu", (int)st->guest_mtu,
		"reconnects", (json_int_t)st->reconnects, "refused", (json_int_t)st->refused,
		"peer_pid", (int)st->peer_pid);
}

static json_t *nic_json(const struct port_info *info)
{
	const struct config_dpdk *dpdk = &info->config->dpdk;
	json_t *members = json_array();
	for (uint16_t i = 0; i < dpdk->nmembers; i++)
		json_array_append_new(members, rpc_string(dpdk->members[i]));
	return json_pack("{s:o}", "members", members);
}

static json_t *mac_json(const uint8_t mac[6])
{
	static const uint8_t any[6];
	if (!memcmp(mac, any, sizeof(any)))
		return json_null();
	return json_sprintf(
		"%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

// What is enforced: a MAC address or null, and a list of IP addresses and networks or null.
static json_t *addresses_json(const struct config_addresses *addresses)
{
	json_t *ips = addresses->nips ? json_array() : json_null();
	for (unsigned i = 0; i < addresses->nips; i++) {
		const struct config_prefix *ip = &addresses->ips[i];
		char text[INET6_ADDRSTRLEN];
		inet_ntop(ip->family, ip->address, text, sizeof(text));
		bool single = ip->length == (ip->family == AF_INET ? 32 : 128);
		json_array_append_new(
			ips, single ? json_string(text) : json_sprintf("%s/%u", text, ip->length));
	}
	return json_pack("{s:o, s:o}", "mac", mac_json(addresses->mac), "ip", ips);
}

static void add_detail(json_t *item, const struct port_info *info)
{
	json_t *of_kind = info->config->kind == PORT_KIND_DPDK ? nic_json(info) : vm_json(info);
	json_t *detail = json_pack("{s:i, s:o, s:o, s:o}", "pairs", (int)info->status.pairs,
		"queue_list", queues_json(info), "drop_reasons", drops_json(info), "addresses",
		addresses_json(&info->config->addresses));
	json_object_update(item, of_kind);
	json_object_update(item, detail);
	json_decref(of_kind);
	json_decref(detail);
}

json_t *port_statistics_json(const struct port_statistic *statistics, size_t count)
{
	json_t *all = json_object();
	for (size_t i = 0; i < count; i++)
		json_object_set_new(
			all, statistics[i].name, json_integer((json_int_t)statistics[i].value));
	return all;
}

json_t *port_json(const struct port_info *info, bool detail)
{
	const struct config_port *config = info->config;
	const struct port_status *st = &info->status;
	char vlan[160], bits[24];
	vlan_text(&config->vlan, vlan, sizeof(vlan));
	snprintf(bits, sizeof(bits), "0x%" PRIx64, st->features);
	json_t *item = json_pack("{s:o, s:i, s:s, s:o, s:s, s:o, s:o, s:o, s:i, s:s, s:i}", "name",
		rpc_string(config->name), "id", (int)info->id, "kind", port_kind_name(config->kind),
		"bridge", rpc_string(config->bridge), "state", port_state_name(st->state), "text",
		rpc_string(st->text), "mend", rpc_string(st->mend), "socket",
		rpc_string(info->socket_path), "mtu", (int)config->mtu, "vlan", vlan, "queues",
		(int)info->nqueues);
	json_t *more = json_pack("{s:o, s:s, s:o, s:o, s:o, s:I, s:I}", "device",
		config->kind == PORT_KIND_DPDK ? rpc_string(config->dpdk.device) : json_null(),
		"features", bits, "feature_names", feature_names(st->features), "from_vm",
		method_traffic(&info->from_vm), "to_vm", method_traffic(&info->to_vm), "drops",
		(json_int_t)info->drops_total, "macs", (json_int_t)info->macs);
	json_object_update(item, more);
	json_decref(more);
	if (detail)
		add_detail(item, info);
	return item;
}
