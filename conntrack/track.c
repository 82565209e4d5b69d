// SPDX-License-Identifier: BSD-3-Clause
#include "conntrack/track.h"

#include <netinet/in.h>
#include <string.h>

#include "base/likely.h"
#include "conntrack/machine.h"
#include "conntrack/tcp_plain.h"

static inline bool is_icmp(const struct packet *p)
{
	return p->l4_proto == (p->flags & PACKET_IPV6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

enum drop_reason track_first(const struct tracker *tracker, struct conn *conn,
	const struct conn_key *key, unsigned original, const struct packet *packet)
{
	const struct step step = {tracker, 0, conn, packet, key->direction, false};
	enum drop_reason reason;
	atomic_store_explicit(&conn->flags, original ? CONN_BEGAN_HIGH : 0, memory_order_relaxed);
	switch (packet->l4_proto) {
	case IPPROTO_TCP:
		reason = tcp_first(&step);
		break;
	case IPPROTO_UDP:
		reason = udp_first(&step);
		break;
	case IPPROTO_SCTP:
		reason = sctp_first(&step);
		break;
	default:
		reason = is_icmp(packet) ? icmp_first(&step) : other_first(&step);
		break;
	}
	if (reason == DROP_NONE)
		conn_count(conn, key->direction, packet->len);
	return reason;
}

enum drop_reason track_begins(const struct tracker *tracker, struct conn *conn,
	const struct conn_key *key, const struct packet *packet)
{
	const struct step step = {tracker, 0, conn, packet, key->direction, false};
	enum drop_reason reason = DROP_NONE;
	if (packet->flags & PACKET_LATER_FRAGMENT)
		return DROP_NONE;
	conn_lock(tracker->table, conn);
	if (packet->l4_proto == IPPROTO_TCP)
		reason = tcp_begins(&step);
	else if (packet->l4_proto == IPPROTO_SCTP)
		reason = sctp_begins(&step);
	conn_unlock(tracker->table, conn);
	return reason;
}

enum drop_reason track_anew(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet, uint16_t owner, int *generation)
{
	const struct step step = {tracker, index, conn, packet, key->direction, true};
	conn_lock(tracker->table, conn);
	uint8_t before = conn_generation(conn);
	enum drop_reason reason = packet->l4_proto == IPPROTO_TCP ? tcp_next(&step)
								  : sctp_next(&step);
	*generation = conn_generation(conn) == before ? -1 : conn_generation(conn);
	conn_unlock(tracker->table, conn);
	if (*generation >= 0)
		conn_owner_change(tracker->table, conn, owner);
	else
		conn_owner_give(tracker->table, owner);
	if (reason == DROP_NONE)
		conn_count(conn, key->direction, packet->len);
	return reason;
}

enum drop_reason track_later(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet)
{
	const struct step step = {tracker, index, conn, packet, key->direction, false};
	// The packet's own protocol is not to be believed (RFC 8200 4.5).
	if (conn_id_protocol(&key->id) == IPPROTO_TCP) {
		conn_lock(tracker->table, conn);
		tcp_later(&step, key);
		conn_unlock(tracker->table, conn);
	}
	conn_count(conn, key->direction, packet->len);
	return DROP_NONE;
}

enum drop_reason track_next(const struct tracker *tracker, uint32_t index, struct conn *conn,
	const struct conn_key *key, const struct packet *packet)
{
	const struct step step = {tracker, index, conn, packet, key->direction, false};
	enum drop_reason reason;
	switch (packet->l4_proto) {
	case IPPROTO_TCP:
		conn_lock(tracker->table, conn);
		reason = likely(tcp_plain(conn, key->direction, packet, tracker->now_s))
				 ? DROP_NONE
				 : tcp_next(&step);
		conn_unlock(tracker->table, conn);
		break;
	case IPPROTO_UDP:
		reason = udp_next(&step);
		break;
	case IPPROTO_SCTP:
		conn_lock(tracker->table, conn);
		reason = sctp_next(&step);
		conn_unlock(tracker->table, conn);
		break;
	default:
		reason = is_icmp(packet) ? icmp_next(&step) : other_next(&step);
		break;
	}
	if (likely(reason == DROP_NONE))
		conn_count(conn, key->direction, packet->len);
	return reason;
}
