// SPDX-License-Identifier: BSD-3-Clause
// One table says for each request what is taken down before the library handles it, and what is
// noted before and after. The post hook then publishes what can be used. A request that fails ends
// the connection, or, if the peer wants a reply, is answered and has no post hook: what it took
// down stays down until the next request succeeds.
#include "vhost/messages.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_vhost.h>

#include "base/log.h"
#include "vhost/bus_error.h"
#include "vhost/log_base.h"
#include "vhost/memory_probe.h"
#include "vhost/memory_table.h"
#include "vhost/message_size.h"
#include "vhost/protocol.h"
#include "vhost/publish.h"
#include "vhost/socket_fds.h"

// --- what is noted -------------------------------------------------------------------------------

static void before_get_queue_num(struct vhost_control *c, struct message *m)
{
	m->payload.u64 = c->config.queues;
	m->size = sizeof(m->payload.u64);
}

// The library unmaps the old table first, whatever becomes of the new one.
static void before_set_mem_table(struct vhost_control *c, struct message *m)
{
	c->peer.memory_lost = !memory_renew(c, m);
	memory_drop(c);
	c->peer.has_table = true;
	c->peer.memory_untouched = memory_untouched(m);
	// The library looks at the rings where it has just mapped them.
	bus_error_expect();
}

static void after_set_mem_table(struct vhost_control *c, const struct message *m)
{
	(void)m;
	bool lost = bus_error_expect_end() || c->peer.memory_lost;
	if (memory_load(c))
		snprintf(c->failure, sizeof(c->failure), "no memory for the guest's memory table");
	else if (lost)
		atomic_store(&c->memory->gone, true);
}

static void before_set_log_base(struct vhost_control *c, struct message *m)
{
	log_base_map(c, m);
}

static void after_set_vring_addr(struct vhost_control *c, const struct message *m)
{
	const struct vhost_vring_addr addr = m->payload.addr;
	struct vhost_vring *v = &c->vrings[addr.index];
	v->used_logged = addr.flags >> VHOST_VRING_F_LOG & 1;
	v->used_log_addr = addr.log_guest_addr;
}

static void after_set_features(struct vhost_control *c, const struct message *m)
{
	c->peer.features = m->payload.u64;
	c->peer.features_at_ns = vhost_now_ns();
	// The library forgets the other queues then.
	if (!(m->payload.u64 & (1ULL << VIRTIO_NET_F_MQ)))
		for (unsigned i = 2; i < VRINGS_MAX; i++)
			c->vrings[i].enabled = false;
}

static void after_set_status(struct vhost_control *c, const struct message *m)
{
	c->peer.status = (uint8_t)m->payload.u64;
}

static void after_set_vring_kick(struct vhost_control *c, const struct message *m)
{
	// Without these features there is no SET_VRING_ENABLE, and a ring starts enabled.
	unsigned vring = m->payload.u64 & 0xff;
	if (!(c->peer.features & (1ULL << VHOST_USER_F_PROTOCOL_FEATURES)))
		c->vrings[vring].enabled = true;
	rings_check_started(c, vring);
}

static void before_get_vring_base(struct vhost_control *c, struct message *m)
{
	(void)m;
	rings_reset(c);
}

static void after_set_vring_enable(struct vhost_control *c, const struct message *m)
{
	unsigned vring = m->payload.state.index;
	c->vrings[vring].enabled = m->payload.state.num;
	if (vring % 2)
		atomic_store(&c->port.pairs[vring / 2].from_vm_enabled, m->payload.state.num != 0);
}

static void after_net_set_mtu(struct vhost_control *c, const struct message *m)
{
	c->peer.mtu = (uint16_t)m->payload.u64;
	if (c->peer.mtu > c->mtu)
		log_warning(LOG_VHOST, "port %s: the VMM gives the guest MTU %u, the port has %u",
			c->name, c->peer.mtu, c->mtu);
}

static void after_send_rarp(struct vhost_control *c, const struct message *m)
{
	memcpy(c->announce_mac, &m->payload, sizeof(c->announce_mac));
	c->announcements++;
	rings_announce(c, c->announce_mac);
	c->events->changed(c->ctx);
}

// --- the table -----------------------------------------------------------------------------------

enum touches {
	TOUCHES_NOTHING,
	TOUCHES_INDEX_U64,   // the vring in the low byte
	TOUCHES_INDEX_STATE, // the vring in the first word
	// The same, but only a to-vm ring that is disabled: a from-vm ring stays, to be drained,
	// and enabling takes nothing down. A grace period for each would add up: a guest may use a
	// queue as soon as its VMM has sent this, and what it sends before we know is discarded.
	TOUCHES_IF_DISABLED,
	TOUCHES_ALL,
	// Nothing that was offered needs it. The library has a handler all the same, and some of
	// them were never meant to run without what was not negotiated.
	REFUSED,
	ANSWERED, // by `before`
};

struct rule {
	const char *name;
	enum touches touches;
	void (*before)(struct vhost_control *c, struct message *m);
	void (*after)(struct vhost_control *c, const struct message *m);
};

#define RULE(id, ...) [id] = {#id, __VA_ARGS__}
static const struct rule rules[REQUEST_COUNT] = {
	RULE(GET_FEATURES, TOUCHES_NOTHING, NULL, NULL),
	RULE(SET_FEATURES, TOUCHES_ALL, NULL, after_set_features), // may free queues
	RULE(SET_OWNER, TOUCHES_NOTHING, NULL, NULL),
	// Obsolete. The library forgets what it has allocated for each queue: a megabyte a time.
	RULE(RESET_OWNER, REFUSED, NULL, NULL),
	RULE(SET_MEM_TABLE, TOUCHES_ALL, before_set_mem_table, after_set_mem_table),
	RULE(SET_LOG_BASE, TOUCHES_ALL, before_set_log_base, NULL),
	RULE(SET_LOG_FD, TOUCHES_NOTHING, NULL, NULL),
	RULE(SET_VRING_NUM, TOUCHES_INDEX_STATE, NULL, NULL),
	RULE(SET_VRING_ADDR, TOUCHES_INDEX_STATE, NULL, after_set_vring_addr),
	RULE(SET_VRING_BASE, TOUCHES_INDEX_STATE, NULL, NULL),
	RULE(GET_VRING_BASE, TOUCHES_ALL, before_get_vring_base, NULL), // stops the device
	RULE(SET_VRING_KICK, TOUCHES_INDEX_U64, NULL, after_set_vring_kick),
	RULE(SET_VRING_CALL, TOUCHES_INDEX_U64, NULL, NULL),
	RULE(SET_VRING_ERR, TOUCHES_NOTHING, NULL, NULL),
	RULE(GET_PROTOCOL_FEATURES, TOUCHES_NOTHING, NULL, NULL),
	RULE(SET_PROTOCOL_FEATURES, TOUCHES_NOTHING, NULL, NULL),
	RULE(GET_QUEUE_NUM, ANSWERED, before_get_queue_num, NULL),
	RULE(SET_VRING_ENABLE, TOUCHES_IF_DISABLED, NULL, after_set_vring_enable),
	RULE(SEND_RARP, TOUCHES_NOTHING, NULL, after_send_rarp),
	RULE(NET_SET_MTU, TOUCHES_NOTHING, NULL, after_net_set_mtu),
	RULE(SET_BACKEND_REQ_FD, REFUSED, NULL, NULL),
	RULE(IOTLB_MSG, REFUSED, NULL, NULL),
	RULE(GET_CONFIG, REFUSED, NULL, NULL),
	RULE(SET_CONFIG, REFUSED, NULL, NULL),
	RULE(CREATE_CRYPTO_SESSION, REFUSED, NULL, NULL),
	RULE(CLOSE_CRYPTO_SESSION, REFUSED, NULL, NULL),
	RULE(POSTCOPY_ADVISE, REFUSED, NULL, NULL),
	RULE(POSTCOPY_LISTEN, REFUSED, NULL, NULL),
	RULE(POSTCOPY_END, REFUSED, NULL, NULL),
	RULE(GET_INFLIGHT_FD, REFUSED, NULL, NULL),
	RULE(SET_INFLIGHT_FD, REFUSED, NULL, NULL),
	RULE(SET_STATUS, TOUCHES_NOTHING, NULL, after_set_status),
	RULE(GET_STATUS, TOUCHES_NOTHING, NULL, NULL),
};

static const struct rule *rule_of(uint32_t request)
{
	static const struct rule unknown = {"an unknown request", REFUSED, NULL, NULL};
	return request < REQUEST_COUNT && rules[request].name ? &rules[request] : &unknown;
}

// The vrings a request touches, as a mask in *vrings. False: one that the port does not have.
static bool touched(const struct vhost_control *c, const struct message *m, uint32_t *vrings)
{
	uint32_t index = 0;
	switch (rule_of(m->request)->touches) {
	case TOUCHES_INDEX_U64:
		index = m->payload.u64 & 0xff;
		break;
	case TOUCHES_INDEX_STATE:
	case TOUCHES_IF_DISABLED:
		index = m->payload.state.index;
		break;
	case TOUCHES_ALL:
		*vrings = ALL_VRINGS;
		return true;
	default:
		*vrings = 0;
		return true;
	}
	*vrings = index < VRINGS_MAX ? 1u << index : 0;
	if (rule_of(m->request)->touches == TOUCHES_IF_DISABLED &&
		(index % 2 || m->payload.state.num))
		*vrings = 0;
	return index < 2u * c->config.queues;
}

// --- the hooks -----------------------------------------------------------------------------------

static void fail(struct vhost_control *c, uint32_t request, const char *why)
{
	snprintf(c->failure, sizeof(c->failure), "the VMM's %s was refused%.100s",
		rule_of(request)->name, why);
	c->peer.failed = true;
	log_warning(LOG_VHOST, "port %s: %s", c->name, c->failure);
}

void messages_note_refusal(struct vhost_control *c)
{
	uint32_t request = c->peer.request;
	c->peer.request = 0;
	if (request)
		fail(c, request, "");
}

// The library does so only before its own handlers.
static void close_message_fds(struct message *m)
{
	for (int i = 0; i < m->nfds && i < MEMORY_REGIONS_MAX; i++)
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	m->nfds = 0;
}

static enum rte_vhost_msg_result refuse(struct vhost_control *c, struct message *m, const char *why)
{
	fail(c, m->request, why);
	close_message_fds(m);
	return RTE_VHOST_MSG_RESULT_ERR;
}

// The library sees to it that there are as many descriptors as regions.
static bool is_mappable(const struct message *m, struct error *err)
{
	for (uint32_t i = 0; i < m->payload.memory.nregions && i < (uint32_t)m->nfds; i++) {
		if (memory_probe(m->fds[i], m->payload.memory.regions[i].size,
			    m->payload.memory.regions[i].mmap_offset, err)) {
			error_prefix(err, ": memory region %u cannot be mapped: ", i);
			return false;
		}
	}
	return true;
}

static enum rte_vhost_msg_result before(struct vhost_control *c, struct message *m)
{
	const struct rule *rule = rule_of(m->request);
	uint32_t vrings;
	messages_note_refusal(c);
	bus_error_expect_end(); // of a table that was refused
	bool known = touched(c, m, &vrings);
	log_debug(
		LOG_VHOST, "port %s: %s, %u bytes, %d fds", c->name, rule->name, m->size, m->nfds);
	if (m->size < message_size_due(m))
		return refuse(c, m, ": it is too short");
	if (!known)
		return refuse(c, m, ": no such queue");
	if (rule->touches == REFUSED)
		return refuse(c, m, ": it was not offered");
	rings_quiesce(c, vrings);
	struct error err;
	if (m->request == SET_MEM_TABLE && !is_mappable(m, &err))
		return refuse(c, m, err.text);
	if (rule->before)
		rule->before(c, m);
	if (rule->touches == ANSWERED) {
		close_message_fds(m);
		return RTE_VHOST_MSG_RESULT_REPLY;
	}
	c->peer.request = m->request;
	c->peer.request_at_ns = vhost_now_ns();
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

static enum rte_vhost_msg_result pre_hook(int vid, void *msg)
{
	struct vhost_control *c = vhost_control_of(vid);
	enum rte_vhost_msg_result result = RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	if (!c)
		return result;
	pthread_mutex_lock(&c->lock);
	if (!c->closing)
		result = before(c, msg);
	pthread_mutex_unlock(&c->lock);
	return result;
}

static enum rte_vhost_msg_result post_hook(int vid, void *msg)
{
	struct vhost_control *c = vhost_control_of(vid);
	const struct message *m = msg;
	if (!c)
		return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
	const struct rule *rule = rule_of(m->request);
	pthread_mutex_lock(&c->lock);
	c->peer.request = 0;
	if (!c->closing) {
		if (rule->after)
			rule->after(c, m);
		rings_publish(c);
	}
	pthread_mutex_unlock(&c->lock);
	// The library's own result stands.
	return RTE_VHOST_MSG_RESULT_NOT_HANDLED;
}

int messages_attach(int vid)
{
	static const struct rte_vhost_user_extern_ops hooks = {
		.pre_msg_handle = pre_hook,
		.post_msg_handle = post_hook,
	};
	return rte_vhost_extern_callback_register(vid, &hooks, NULL) ? -ENODEV : 0;
}

int messages_check_library(struct error *err)
{
	static const char built_with[] = "DPDK 22.11";
	if (!socket_fds_guarded())
		return error_set(err, ENOTSUP,
			"another recvmsg takes the place of the switch's own, which keeps "
			"descriptors that VMMs send from being lost");
	if (!strncmp(rte_version(), built_with, sizeof(built_with) - 1))
		return 0;
	return error_set(err, ENOTSUP,
		"the vhost library is that of %s, and the messages it hands out "
		"are known for %s only",
		rte_version(), built_with);
}
