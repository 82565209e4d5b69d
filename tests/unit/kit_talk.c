// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_talk.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "switch/parse.h"
#include "tests/unit/kit_wire.h"

static uint32_t last;

void talk_begin(struct talk *talk, bool high, bool v6)
{
	struct conn_table_options options = {.connections = 64, .nworkers = 1, .secret = {7}};
	struct error err;
	*talk = (struct talk){.now_s = 1000, .high = high, .v6 = v6, .ports = {40000, 80}};
	track_settings_default(&talk->settings);
	if (conn_table_new(&talk->table, &options, &err) < 0)
		abort();
	last = 0;
}

void talk_end(struct talk *talk)
{
	conn_table_free(talk->table);
}

void talk_each_way(struct talk *talk, void (*check)(void))
{
	for (int high = 0; high < 2; high++)
		for (int v6 = 0; v6 < 2; v6++) {
			talk_begin(talk, high, v6);
			check();
			talk_end(talk);
		}
}

static void address_of(const struct talk *talk, unsigned end, uint8_t *to)
{
	unsigned which = end ^ talk->high;
	if (!talk->v6) {
		memcpy(to, (uint8_t[4]){10, 0, 0, (uint8_t)(1 + which)}, 4);
		return;
	}
	memset(to, 0, 16);
	to[0] = 0xfd;
	to[15] = (uint8_t)(1 + which);
}

static void build_ip(
	const struct talk *talk, uint8_t *at, unsigned from, uint8_t protocol, uint32_t behind)
{
	if (talk->v6) {
		at[0] = 0x60;
		wire_store16(at + 4, (uint16_t)behind);
		at[6] = protocol;
		address_of(talk, from, at + 8);
		address_of(talk, !from, at + 24);
		return;
	}
	at[0] = 0x45;
	wire_store16(at + 2, (uint16_t)(20 + behind));
	at[9] = protocol;
	address_of(talk, from, at + 12);
	address_of(talk, !from, at + 16);
}

void talk_build(const struct talk *talk, struct talk_packet *packet, unsigned from,
	uint8_t protocol, const uint8_t *l4, uint32_t len, uint32_t payload)
{
	uint32_t ip_len = talk->v6 ? 40 : 20, head = 14 + ip_len + len;
	packet->block = calloc(1, head);
	uint8_t *at = packet->block;
	wire_store16(at + 12, talk->v6 ? 0x86dd : 0x0800);
	build_ip(talk, at + 14, from, protocol, len + payload);
	memcpy(at + 14 + ip_len, l4, len);
	packet->packet = (struct packet){.data = at,
		.len = head + payload,
		.head_len = (uint16_t)(head < STASH_HEADERS ? head : STASH_HEADERS)};
	parse_packet(&packet->packet);
}

void talk_free(struct talk_packet *packet)
{
	free(packet->block);
}

static enum drop_reason track_on(const struct talk *talk, const struct tracker *tracker,
	uint32_t index, const struct conn_key *key, const struct packet *packet)
{
	struct conn *conn = conn_at(talk->table, index);
	enum drop_reason how = track_begins(tracker, conn, key, packet);
	enum drop_reason reason = track_next(tracker, index, conn, key, packet);
	int generation;
	if (how != DROP_NONE && reason != how)
		abort();
	if (how == DROP_NONE || talk->denies)
		return reason;
	if (!conn_owner_take(talk->table, conn, 1, 0))
		abort();
	reason = track_anew(tracker, index, conn, key, packet, 1, &generation);
	if (generation < 0)
		abort();
	return reason;
}

enum drop_reason talk_track(struct talk *talk, const struct packet *packet)
{
	struct tracker tracker = {talk->table, &talk->settings, talk->now_s, false};
	struct conn_key key;
	last = 0;
	if (!conn_key_of(&key, packet, 1))
		return DROP_BAD_HEADER;
	conn_keys_hash(talk->table, &key, 1);
	uint32_t index = conn_find(talk->table, &key);
	last = index;
	if (index)
		return track_on(talk, &tracker, index, &key, packet);
	if (conn_reserve(talk->table, 0, &key, 1, 0, talk->now_s, &index) < 0)
		abort();
	enum drop_reason reason = track_first(
		&tracker, conn_at(talk->table, index), &key, key.direction, packet);
	if (reason == DROP_NONE)
		last = conn_publish(talk->table, 0, index, talk->now_s + 10);
	else
		conn_cancel(talk->table, 0, index);
	return reason;
}

enum drop_reason talk_say(struct talk *talk, unsigned from, uint8_t protocol, const uint8_t *l4,
	uint32_t len, uint32_t payload)
{
	struct talk_packet packet;
	talk_build(talk, &packet, from, protocol, l4, len, payload);
	enum drop_reason reason = talk_track(talk, &packet.packet);
	talk_free(&packet);
	return reason;
}

struct conn *talk_conn(const struct talk *talk)
{
	return last ? conn_at(talk->table, last) : NULL;
}

enum conn_state talk_state(const struct talk *talk)
{
	return last ? (enum conn_state)conn_at(talk->table, last)->state : CONN_FREE;
}

static void store32(uint8_t *at, uint32_t value)
{
	wire_store16(at, (uint16_t)(value >> 16));
	wire_store16(at + 2, (uint16_t)value);
}

enum drop_reason talk_tcp(struct talk *talk, unsigned from, const struct talk_tcp *tcp)
{
	static const char letters[] = "FSRPAU";
	uint8_t l4[60] = {0};
	uint32_t len = 20;
	wire_store16(l4, talk->ports[from]);
	wire_store16(l4 + 2, talk->ports[!from]);
	store32(l4 + 4, tcp->seq);
	store32(l4 + 8, tcp->ack);
	wire_store16(l4 + 14, tcp->window);
	for (const char *c = tcp->flags; *c; c++)
		l4[13] |= (uint8_t)(1 << (strchr(letters, *c) - letters));
	if (tcp->scale >= 0) {
		memcpy(l4 + len, (uint8_t[4]){1, 3, 3, (uint8_t)tcp->scale}, 4);
		len += 4;
	}
	if (tcp->timestamps) {
		memcpy(l4 + len, (uint8_t[12]){1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0}, 12);
		len += 12;
	}
	l4[12] = (uint8_t)(len / 4 << 4);
	return talk_say(talk, from, IPPROTO_TCP, l4, len, tcp->len);
}
