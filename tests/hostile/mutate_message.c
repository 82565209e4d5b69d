// SPDX-License-Identifier: BSD-3-Clause
// The table of message mutations, and those that are not about memory.
#include "tests/hostile/mutate_message.h"

static void any_sound(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, message_any_request(rng), m);
}

// --- the header ----------------------------------------------------------------------------------

static void size_smaller(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	m->size = rng_below(rng, m->size);
}

static void size_larger(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	uint32_t more = m->size + 1 + rng_below(rng, PAYLOAD_MAX - m->size);
	rng_fill(rng, m->bytes + m->size, more - m->size);
	m->size = more;
}

static void size_beyond(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	m->size = rng_one_in(rng, 2) ? PAYLOAD_MAX + 1 + rng_below(rng, 8)
				     : PAYLOAD_MAX + 1 + (uint32_t)(rng_next(rng) >> 33);
}

static void version(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	m->flags = rng_one_in(rng, 2) ? 0 : 2 + rng_below(rng, 2);
}

static void flags(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	m->flags = (uint32_t)rng_next(rng);
}

static void unknown_request(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t holes[] = {0, 23, 33, 34, 35, 36, 37, 38, 41, 42, 43};
	any_sound(g, rng, m);
	m->request = rng_one_in(rng, 2) ? holes[rng_below(rng, 11)] : (uint32_t)rng_edge(rng);
}

static void noise(const struct guest *g, struct rng *rng, struct message *m)
{
	(void)g;
	*m = (struct message){.request = message_any_request(rng), .flags = FLAG_VERSION};
	m->size = rng_below(rng, rng_one_in(rng, 2) ? 64 : PAYLOAD_MAX + 1);
	rng_fill(rng, m->bytes, m->size);
}

// --- descriptors ---------------------------------------------------------------------------------

static void surplus_fds(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
	for (unsigned n = 1 + rng_below(rng, 10); n && m->nfds < FDS_MAX; n--)
		m->fds[m->nfds++] = fds_any(rng);
}

static void surplus_fds_and_index(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t requests[] = {SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE,
		GET_VRING_BASE, SET_VRING_ENABLE, SET_INFLIGHT_FD};
	message_sound(g, rng, requests[rng_below(rng, 6)], m);
	m->nfds = 1 + (int)rng_below(rng, 8);
	for (int i = 0; i < m->nfds; i++)
		m->fds[i] = fds_any(rng);
	if (m->request == SET_INFLIGHT_FD)
		m->inflight.queues = (uint16_t)rng_edge(rng);
	else
		m->state.index = 256 + (uint32_t)rng_edge(rng) % 0xffffff00;
}

static void missing_fds(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t requests[] = {SET_MEM_TABLE, SET_VRING_KICK, SET_VRING_CALL,
		SET_VRING_ERR, SET_LOG_BASE, SET_LOG_FD};
	message_sound(g, rng, requests[rng_below(rng, 6)], m);
	m->nfds = (int)rng_below(rng, (uint32_t)m->nfds);
}

static void kick_or_call(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, rng_one_in(rng, 2) ? SET_VRING_KICK : SET_VRING_CALL, m);
}

static void other_fd(const struct guest *g, struct rng *rng, struct message *m)
{
	kick_or_call(g, rng, m);
	m->fds[0] = fds_any(rng);
}

static void passing_fd(const struct guest *g, struct rng *rng, struct message *m)
{
	kick_or_call(g, rng, m);
	m->fds[0] = fds_passing(rng);
}

static void no_fd_flag(const struct guest *g, struct rng *rng, struct message *m)
{
	kick_or_call(g, rng, m);
	m->u64 |= 1 << 8;
	m->nfds = (int)rng_below(rng, 2);
}

// --- rings ---------------------------------------------------------------------------------------

static void vring_index(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t requests[] = {SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE,
		GET_VRING_BASE, SET_VRING_KICK, SET_VRING_CALL, SET_VRING_ERR, SET_VRING_ENABLE};
	message_sound(g, rng, requests[rng_below(rng, 8)], m);
	m->state.index = rng_one_in(rng, 2) ? rng_below(rng, 300) : (uint32_t)rng_edge(rng);
}

static void vring_num(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t odd[] = {
		0, 1, 3, 255, 1023, 32767, 32768, 32769, 65535, 65536, 1u << 31};
	message_sound(g, rng, SET_VRING_NUM, m);
	m->state.num = rng_below(rng, 4) ? odd[rng_below(rng, 11)] : (uint32_t)rng_edge(rng);
}

static void vring_base(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_VRING_BASE, m);
	m->state.num = (uint32_t)rng_edge(rng);
}

static void vring_addr_outside(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_VRING_ADDR, m);
	uint64_t *parts[] = {&m->addr.desc, &m->addr.used, &m->addr.avail};
	*parts[rng_below(rng, 3)] = rng_one_in(rng, 2)
					    ? rng_edge(rng)
					    : USER_BASE + MAIN_BYTES - rng_below(rng, 6000);
}

static void vring_addr_misaligned(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_VRING_ADDR, m);
	uint64_t *parts[] = {&m->addr.desc, &m->addr.used, &m->addr.avail};
	*parts[rng_below(rng, 3)] += 1 + rng_below(rng, 20);
}

static void vring_addr_overlaps(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_VRING_ADDR, m);
	m->addr.used = m->addr.avail = m->addr.desc;
	m->addr.flags = (uint32_t)rng_below(rng, 4);
	m->addr.log = rng_edge(rng);
}

static void vring_enable(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_VRING_ENABLE, m);
	m->state.num = (uint32_t)rng_edge(rng);
}

// --- the rest ------------------------------------------------------------------------------------

static void features(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_FEATURES, m);
	m->u64 = rng_one_in(rng, 2) ? g->offered & rng_next(rng)
				    : g->features ^ 1ull << rng_below(rng, 64);
}

static void protocol_features(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, SET_PROTOCOL_FEATURES, m);
	m->u64 = rng_edge(rng);
}

static void log_base(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, rng_below(rng, 4) ? SET_LOG_BASE : SET_LOG_FD, m);
	m->log.size = rng_edge(rng);
	m->log.offset = rng_one_in(rng, 2) ? 0 : rng_edge(rng);
	if (rng_one_in(rng, 2))
		m->fds[0] = fds_any(rng);
}

// Whatever was not offered.
static void never_offered(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t requests[] = {SET_BACKEND_REQ_FD, IOTLB_MSG, GET_CONFIG, SET_CONFIG,
		CREATE_CRYPTO_SESSION, CLOSE_CRYPTO_SESSION, POSTCOPY_ADVISE, POSTCOPY_LISTEN,
		POSTCOPY_END, GET_INFLIGHT_FD, SET_INFLIGHT_FD};
	message_sound(g, rng, requests[rng_below(rng, 11)], m);
	if (rng_one_in(rng, 2))
		rng_fill(rng, m->bytes, m->size);
}

static void small_things(const struct guest *g, struct rng *rng, struct message *m)
{
	static const uint32_t requests[] = {SEND_RARP, NET_SET_MTU, SET_STATUS};
	message_sound(g, rng, requests[rng_below(rng, 3)], m);
	m->u64 = rng_edge(rng);
}

static void reset_owner(const struct guest *g, struct rng *rng, struct message *m)
{
	message_sound(g, rng, RESET_OWNER, m);
}

// A good message where it has no place.
static void out_of_order(const struct guest *g, struct rng *rng, struct message *m)
{
	any_sound(g, rng, m);
}

// --- the table -----------------------------------------------------------------------------------

static const struct message_mutation mutations[] = {
	{"size too small", size_smaller},
	{"size too large", size_larger},
	{"size beyond any message", size_beyond},
	{"version", version},
	{"flags", flags},
	{"unknown request", unknown_request},
	{"noise", noise},
	{"surplus descriptors", surplus_fds},
	{"surplus descriptors at a bad queue", surplus_fds_and_index},
	{"missing descriptors", missing_fds},
	{"kick or call of another kind", other_fd},
	{"kick or call that goes away", passing_fd},
	{"kick or call without descriptor", no_fd_flag},
	{"queue index", vring_index},
	{"ring size", vring_num},
	{"ring base", vring_base},
	{"ring outside memory", vring_addr_outside},
	{"ring misaligned", vring_addr_misaligned},
	{"ring parts in one place", vring_addr_overlaps},
	{"ring enabled by any number", vring_enable},
	{"memory: overlapping", memory_overlaps},
	{"memory: one user address", memory_same_user},
	{"memory: size zero", memory_zero},
	{"memory: wrapping", memory_wraps},
	{"memory: huge", memory_huge},
	{"memory: offset", memory_offset},
	{"memory: unaligned", memory_unaligned},
	{"memory: counts", memory_counts},
	{"memory: unmappable", memory_unmappable},
	{"memory: garbage", memory_garbage},
	{"features", features},
	{"protocol features", protocol_features},
	{"dirty log", log_base},
	{"never offered", never_offered},
	{"MTU, RARP, status", small_things},
	{"reset owner", reset_owner},
	{"out of order", out_of_order},
};

_Static_assert(sizeof(mutations) / sizeof(mutations[0]) == MESSAGE_MUTATIONS, "MESSAGE_MUTATIONS");

const struct message_mutation *message_mutation(unsigned i)
{
	return &mutations[i];
}
