// SPDX-License-Identifier: BSD-3-Clause
// Keys of packets, and of what ICMP errors quote.
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "tests/unit/kit_talk.h"

static struct talk talk;

static bool key_of(
	unsigned from, uint8_t protocol, const uint8_t *l4, uint32_t len, struct conn_key *key)
{
	struct talk_packet packet;
	talk_build(&talk, &packet, from, protocol, l4, len, 0);
	memset(key, 0xa5, sizeof(*key));
	bool has = conn_key_of(key, &packet.packet, 77);
	talk_free(&packet);
	return has;
}

static void check_both_ways(void)
{
	static const uint8_t protocols[] = {IPPROTO_UDP, IPPROTO_TCP, IPPROTO_SCTP, IPPROTO_GRE};
	for (unsigned i = 0; i < sizeof(protocols); i++) {
		uint8_t to[20] = {1, 2, 3, 4, 0, 20, [12] = 0x50};
		uint8_t back[20] = {3, 4, 1, 2, 0, 20, [12] = 0x50};
		struct conn_key there, here, made;
		struct conn_tuple tuple;
		const size_t name = offsetof(struct conn_key, hash);
		cr_assert(key_of(0, protocols[i], to, 20, &there));
		cr_assert(key_of(1, protocols[i], back, 20, &here));
		cr_assert_eq(there.direction, talk.high);
		cr_assert_eq(here.direction, !talk.high);
		cr_assert_arr_eq(&there, &here, name);
		cr_assert_eq(conn_id_zone(&there.id), 77);
		cr_assert_eq(conn_id_protocol(&there.id), protocols[i]);
		conn_key_tuple(&there, there.direction, &tuple);
		cr_assert_eq(tuple.sport, protocols[i] == IPPROTO_GRE ? 0 : htons(0x0102));
		conn_key_make(&made, &tuple);
		cr_assert_arr_eq(&made, &there, name);
		cr_assert_eq(made.direction, there.direction);
	}
}

Test(conn_key, a_packet_and_its_reply_have_one)
{
	talk_each_way(&talk, check_both_ways);
}

static void check_queries(void)
{
	static const uint8_t pairs[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
	uint8_t protocol = talk.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	struct conn_key keys[4];
	for (unsigned i = 0; i < (talk.v6 ? 1 : 4); i++) {
		uint8_t request[8] = {talk.v6 ? 128 : pairs[i][0], 0, 0, 0, 9, 9, 0, 1};
		uint8_t reply[8] = {talk.v6 ? 129 : pairs[i][1], 0, 0, 0, 9, 9, 0, 1};
		struct conn_key there, here;
		cr_assert(key_of(0, protocol, request, 8, &there));
		cr_assert(key_of(1, protocol, reply, 8, &here));
		cr_assert_arr_eq(&there.id, &here.id, sizeof(there.id));
		cr_assert_neq(there.direction, here.direction);
		keys[i] = there;
		for (unsigned k = 0; k < i; k++)
			cr_assert(memcmp(&keys[k].id, &there.id, sizeof(there.id)));
	}
	for (unsigned type = 0; type < 256; type++) {
		uint8_t message[8] = {(uint8_t)type};
		struct conn_key key;
		bool query = talk.v6 ? type == 128 || type == 129
				     : type == 0 || type == 8 || (type >= 13 && type <= 18);
		cr_assert_eq(key_of(0, protocol, message, 8, &key), query, "type %u", type);
	}
}

Test(conn_key, icmp_queries)
{
	talk_each_way(&talk, check_queries);
}

// Whatever the identifier is, who asks is told by it, by a packet and by an error that quotes it.
static void check_identifiers(void)
{
	uint8_t protocol = talk.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint8_t request_type = talk.v6 ? 128 : 8, reply_type = talk.v6 ? 129 : 0;
	static const uint16_t identifiers[] = {0, 7, 8, 13, 127, 128, 129, 0x0800, 0x8000, 0xffff};
	for (unsigned i = 0; i < sizeof(identifiers) / sizeof(identifiers[0]); i++) {
		uint8_t high = (uint8_t)(identifiers[i] >> 8), low = (uint8_t)identifiers[i];
		uint8_t request[8] = {request_type, 0, 0, 0, high, low};
		uint8_t reply[8] = {reply_type, 0, 0, 0, high, low};
		struct conn_key keys[2][2]; // [who asks][is the reply]
		for (unsigned from = 0; from < 2; from++) {
			cr_assert(key_of(from, protocol, request, 8, &keys[from][0]));
			cr_assert(key_of(!from, protocol, reply, 8, &keys[from][1]));
			for (unsigned r = 0; r < 2; r++) {
				const struct conn_key *key = &keys[from][r];
				struct conn_tuple tuple;
				struct conn_key made;
				conn_key_tuple(key, key->direction, &tuple);
				cr_assert_eq(tuple.reply, r);
				cr_assert_eq(r ? tuple.dport : tuple.sport, htons(identifiers[i]));
				cr_assert_eq(r ? tuple.sport : tuple.dport, htons(request_type));
				conn_key_make(&made, &tuple);
				cr_assert_arr_eq(&made.id, &key->id, sizeof(made.id));
				cr_assert_eq(made.direction, key->direction);
			}
			cr_assert_arr_eq(
				&keys[from][0].id, &keys[from][1].id, sizeof(keys[0][0].id));
			cr_assert_neq(keys[from][0].direction, keys[from][1].direction);
		}
		cr_assert(memcmp(&keys[0][0].id, &keys[1][0].id, sizeof(keys[0][0].id)),
			"identifier %u: the queries of both ends are one", identifiers[i]);
	}
}

Test(conn_key, an_identifier_tells_nothing_of_who_asks)
{
	talk_each_way(&talk, check_identifiers);
}

Test(conn_key, none_without_a_sound_header)
{
	struct conn_key key;
	uint8_t l4[20] = {1, 2, 3, 4, 0, 3};
	talk_begin(&talk, false, true);
	cr_assert_not(key_of(0, IPPROTO_UDP, l4, 8, &key), "its length is too small");
	cr_assert_not(key_of(0, IPPROTO_UDP, l4, 4, &key));
	cr_assert_not(key_of(0, IPPROTO_TCP, l4, 20, &key));
	uint8_t fragment[16] = {IPPROTO_UDP, 0, 1, 0};
	cr_assert_not(key_of(0, IPPROTO_FRAGMENT, fragment, 16, &key), "a later one");
	fragment[2] = 0;
	fragment[3] = 1;
	fragment[13] = 8;
	cr_assert(key_of(0, IPPROTO_FRAGMENT, fragment, 16, &key), "the first");
	talk_end(&talk);
}

Test(conn_key, one_end_alone_is_direction_0)
{
	struct conn_tuple tuple = {.zone = 1, .protocol = IPPROTO_UDP, .sport = 5, .dport = 5};
	struct conn_key key;
	conn_key_make(&key, &tuple);
	cr_assert_eq(key.direction, 0);
	// Only an ICMP query tells its two ends apart.
	tuple.protocol = IPPROTO_ICMP;
	conn_key_make(&key, &tuple);
	cr_assert_eq(key.direction, 0);
	tuple.reply = true;
	conn_key_make(&key, &tuple);
	cr_assert_eq(key.direction, 1);
}

// --- errors

// The error that `from` sends about a packet that `sender` has sent; its first `len` bytes are
// quoted.
static bool error_of(unsigned from, unsigned sender, uint8_t type, uint8_t protocol,
	const uint8_t *l4, uint32_t l4_len, uint32_t len, struct conn_key *key, bool *sound)
{
	struct talk_packet inner, error;
	talk_build(&talk, &inner, sender, protocol, l4, l4_len, 0);
	uint8_t *message = calloc(1, 8 + len);
	message[0] = type;
	memcpy(message + 8, inner.block + 14, len);
	talk_build(
		&talk, &error, from, talk.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, message, 8 + len, 0);
	bool is = track_error_key(&error.packet, 77, key, sound);
	free(message);
	talk_free(&inner);
	talk_free(&error);
	return is;
}

static void check_errors(void)
{
	uint8_t l4[20] = {1, 2, 3, 4, 0, 20, [12] = 0x50};
	uint32_t ip = talk.v6 ? 40 : 20;
	struct conn_key key, inner;
	bool sound;
	for (unsigned type = 0; type < 256; type++) {
		bool is = talk.v6 ? type < 128
				  : (type >= 3 && type <= 5) || type == 11 || type == 12;
		cr_assert_eq(
			error_of(1, 0, (uint8_t)type, IPPROTO_TCP, l4, 20, ip + 20, &key, &sound),
			is, "type %u", type);
		if (!is)
			continue;
		cr_assert(sound);
		cr_assert(key_of(0, IPPROTO_TCP, l4, 20, &inner));
		cr_assert_arr_eq(&key.id, &inner.id, sizeof(inner.id));
		cr_assert_arr_eq(key.v6, inner.v6, sizeof(inner.v6));
		cr_assert_eq(key.direction, !inner.direction);
	}
	for (uint32_t len = 0; len <= ip + 20; len++) {
		cr_assert(error_of(1, 0, 3, IPPROTO_UDP, l4, 20, len, &key, &sound));
		cr_assert_eq(sound, len >= ip + 4, "%u bytes", len);
	}
	cr_assert(error_of(1, 1, 3, IPPROTO_UDP, l4, 20, ip + 20, &key, &sound));
	cr_assert_not(sound, "it is sent to who did not send what it quotes");
}

Test(conn_key, errors_name_what_they_quote)
{
	talk_each_way(&talk, check_errors);
}

static void check_quoted_queries(void)
{
	uint8_t protocol = talk.v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	uint8_t echo[8] = {talk.v6 ? 128 : 8, 0, 0, 0, 9, 9};
	uint32_t ip = talk.v6 ? 40 : 20;
	struct conn_key key, inner;
	bool sound;
	cr_assert(error_of(1, 0, 3, protocol, echo, 8, ip + 8, &key, &sound));
	cr_assert(sound);
	cr_assert(key_of(0, protocol, echo, 8, &inner));
	cr_assert_arr_eq(&key.id, &inner.id, sizeof(inner.id));
	cr_assert_eq(key.direction, !inner.direction);
	echo[4] = 0;
	echo[5] = echo[0]; // an identifier that looks like the type
	cr_assert(error_of(1, 0, 3, protocol, echo, 8, ip + 8, &key, &sound));
	cr_assert(key_of(0, protocol, echo, 8, &inner));
	cr_assert_arr_eq(&key.id, &inner.id, sizeof(inner.id));
	cr_assert_eq(key.direction, !inner.direction);
	cr_assert(error_of(1, 0, 3, protocol, echo, 8, ip + 7, &key, &sound));
	cr_assert_not(sound);
	echo[0] = talk.v6 ? 1 : 3;
	cr_assert(error_of(1, 0, 3, protocol, echo, 8, ip + 8, &key, &sound));
	cr_assert_not(sound, "an error about an error");
}

Test(conn_key, errors_about_queries)
{
	talk_each_way(&talk, check_quoted_queries);
}

Test(conn_key, a_later_fragment_quoted_is_not_sound)
{
	uint8_t fragment[16] = {IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, 0, 8};
	struct conn_key key;
	bool sound;
	talk_begin(&talk, false, true);
	cr_assert(error_of(1, 0, 1, IPPROTO_FRAGMENT, fragment, 16, 56, &key, &sound));
	cr_assert(sound, "the first");
	cr_assert_eq(conn_id_protocol(&key.id), IPPROTO_UDP);
	fragment[2] = 1;
	cr_assert(error_of(1, 0, 1, IPPROTO_FRAGMENT, fragment, 16, 56, &key, &sound));
	cr_assert_not(sound);
	talk_end(&talk);
}
