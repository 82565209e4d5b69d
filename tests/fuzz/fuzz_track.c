// SPDX-License-Identifier: BSD-3-Clause
// A sequence of packets through one entry, whatever table it stands in, and what they quote as ICMP
// errors. Sanitizers see wrong accesses; the checks here, broken promises of track.h.
//
// Input: records of 4 bytes (see struct record) and a packet from its IP header on. The packet is
// given the entry's protocol and addresses unless the record says otherwise.
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "conntrack/track.h"
#include "switch/parse.h"

enum {
	REVERSE = 1,  // it goes back
	V6 = 2,       // as IPv6
	AS_IT_IS = 4, // with the addresses that it has
	FRAGMENT = 8, // the first of several
	QUOTE = 16,   // inside of an ICMP error
	ANEW = 32,    // another entry begins
	PICKUP = 64,
	RECORDS_MAX = 64,
};

struct record {
	uint8_t how;
	uint8_t len;     // of what follows, taken from the input
	uint8_t payload; // in units of 256 bytes, behind it
	uint8_t time;    // seconds that have passed
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conn_table *table;
static uint32_t entry;
static struct conn_key first;

static void check(bool good)
{
	if (!good)
		abort();
}

static void lend(const struct track_settings *settings)
{
	static const struct conn_table_options options = {
		.connections = 64, .nworkers = 1, .secret = {1}};
	struct error err;
	if (!table)
		check(conn_table_new(&table, &options, &err) == 0);
	check(conn_state_class(CONN_FREE) == CONN_CLASS_NONE && settings->timeouts_s[1]);
}

static void let_go(void)
{
	if (!entry)
		return;
	check(conn_remove(table, entry, &first.id));
	conn_reclaimed(table, conn_reclaim_mark(table));
	entry = 0;
}

static void check_entry(const struct conn *conn)
{
	enum conn_state state = (enum conn_state)conn->state;
	check(state != CONN_FREE && state < CONN_STATE_COUNT);
	check(!conn->lock && !memcmp(&conn->id, &first.id, sizeof(conn->id)));
	for (int i = 0; i < 2; i++)
		check(conn_id_protocol(&conn->id) != 6 || conn->sides[i].scale <= 14);
}

static void track(const struct tracker *tracker, const struct packet *packet)
{
	struct conn_key key;
	bool sound;
	if (track_error_key(packet, 1, &key, &sound)) {
		check(key.direction <= 1 && conn_id_zone(&key.id) == 1);
		check(!conn_key_of(&key, packet, 1));
		return;
	}
	if (!conn_key_of(&key, packet, 1))
		return;
	check(key.direction <= 1);
	conn_keys_hash(table, &key, 1);
	if (!entry) {
		check(conn_reserve(table, 0, &key, 1, 0, tracker->now_s, &entry) == 0);
		first = key;
		enum drop_reason reason = track_first(
			tracker, conn_at(table, entry), &key, key.direction, packet);
		check(reason == DROP_NONE || reason == DROP_CONNECTION_INVALID);
		if (reason != DROP_NONE) {
			conn_cancel(table, 0, entry);
			entry = 0;
			return;
		}
		check(conn_publish(table, 0, entry, tracker->now_s + 1) == entry);
	} else if (conn_find(table, &key) == entry) {
		struct conn *conn = conn_at(table, entry);
		uint32_t packets = conn->packets[key.direction];
		enum drop_reason how = track_begins(tracker, conn, &key, packet);
		enum drop_reason reason = track_next(tracker, entry, conn, &key, packet);
		check(how == DROP_NONE || reason == how);
		if (how != DROP_NONE) {
			int generation;
			check(conn_owner_take(table, conn, 1, 0));
			reason = track_anew(tracker, entry, conn, &key, packet, 1, &generation);
			check(reason == DROP_NONE && generation == conn->generation);
			check(conn_count_of(table, 1) == 1);
			packets = 0;
		}
		check(reason == DROP_NONE || reason == DROP_CONNECTION_INVALID ||
			reason == DROP_TCP_WINDOW);
		check(conn->packets[key.direction] == packets + (reason == DROP_NONE));
	}
	if (entry)
		check_entry(conn_at(table, entry));
}

static uint32_t put_ip(uint8_t *at, const struct record *r, uint32_t behind)
{
	bool back = r->how & REVERSE;
	if (r->how & V6) {
		uint16_t len = htons((uint16_t)behind);
		at[0] = 0x60;
		memcpy(at + 4, &len, 2);
		at[8] = at[24] = 0xfd;
		at[23] = back ? 2 : 1;
		at[39] = back ? 1 : 2;
		return 40;
	}
	uint16_t len = htons((uint16_t)(20 + behind));
	at[0] = 0x45;
	memcpy(at + 2, &len, 2);
	at[6] = r->how & FRAGMENT ? 0x20 : 0;
	at[12] = at[16] = 10;
	at[15] = back ? 2 : 1;
	at[19] = back ? 1 : 2;
	return 20;
}

// The packet in the stash, in a heap block of its own.
static void feed(const struct tracker *tracker, const struct record *r, const uint8_t *bytes)
{
	uint8_t frame[14 + 48 + 40 + 256] = {0};
	bool v6 = r->how & V6;
	uint8_t protocol = r->len ? bytes[0] : 0;
	uint32_t at = 14, behind = r->len ? r->len - 1u : 0, payload = r->payload * 256u;
	frame[12] = v6 ? 0x86 : 0x08;
	frame[13] = v6 ? 0xdd : 0x00;
	if (r->how & AS_IT_IS) {
		memcpy(frame + at, bytes, r->len);
		at += r->len;
	} else {
		struct record outer = *r;
		outer.how ^= r->how & QUOTE ? REVERSE : 0;
		uint32_t quote = r->how & QUOTE ? 8 + (v6 ? 40 : 20) : 0;
		uint32_t ip = put_ip(frame + at, &outer, behind + quote + payload);
		frame[at + (v6 ? 6 : 9)] = !quote ? protocol : v6 ? 58 : 1;
		at += ip;
		if (quote) {
			frame[at] = v6 ? 1 : 3;
			at += 8;
			ip = put_ip(frame + at, r, behind);
			frame[at + (v6 ? 6 : 9)] = protocol;
			at += ip;
		}
		memcpy(frame + at, bytes + 1, behind);
		// Ports that make it one connection, whichever way it goes.
		if (behind >= 4 && (protocol == 6 || protocol == 17 || protocol == 132))
			memcpy(frame + at, r->how & REVERSE ? "\0\2\0\1" : "\0\1\0\2", 4);
		at += behind;
	}
	uint32_t head = at < STASH_HEADERS ? at : STASH_HEADERS;
	uint8_t *block = malloc(head);
	memcpy(block, frame, head);
	struct packet packet = {.data = block, .head_len = (uint16_t)head, .len = at + payload};
	parse_packet(&packet);
	if (packet.verdict == VERDICT_NONE)
		track(tracker, &packet);
	free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct track_settings settings;
	struct tracker tracker = {.settings = &settings, .now_s = 1000};
	track_settings_default(&settings);
	lend(&settings);
	tracker.table = table;
	for (int i = 0; i < RECORDS_MAX && size >= sizeof(struct record); i++) {
		struct record r;
		memcpy(&r, data, sizeof(r));
		data += sizeof(r);
		size -= sizeof(r);
		r.len = (uint8_t)(r.len < size ? r.len : size);
		if (r.how & ANEW)
			let_go();
		settings.pickup = r.how & PICKUP;
		tracker.now_s += r.time;
		feed(&tracker, &r, data);
		data += r.len;
		size -= r.len;
	}
	let_go();
	return 0;
}
