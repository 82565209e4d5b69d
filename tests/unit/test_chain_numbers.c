// SPDX-License-Identifier: BSD-3-Clause
// An instance's number goes to no other one as long as a connection names it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "conntrack/table.h"
#include "switch/private.h"
#include "tests/unit/kit_conn.h"
#include "tests/unit/kit_switch.h"
#include "tests/unit/kit_schema.h"

enum {
	PORTS = 2 * HOP_INSTANCES_MAX,
	ROUNDS = 2 * CONN_INSTANCES / HOP_INSTANCES_MAX // numbers go round twice
};

// A chain of one hop with the first instances, or the others.
static void apply(unsigned first)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	fprintf(out, "switch: {workers: [0]}\nports:\n");
	for (unsigned i = 0; i < PORTS; i++)
		fprintf(out, "  p%u: {vhost-user: {socket: p%u.sock}}\n", i, i);
	fprintf(out, "chains: {x: {match: {}, hops: [{nf: f, instances: [");
	for (unsigned i = first; i < first + HOP_INSTANCES_MAX; i++)
		fprintf(out, "%s{port: p%u}", i > first ? ", " : "", i);
	fprintf(out, "]}]}}\n");
	fclose(out);
	kit_switch_apply(text);
	free(text);
}

static void begin(void)
{
	kit_switch_begin();
	apply(0);
}

TestSuite(chain_numbers, .init = begin, .fini = kit_switch_end);

// A connection that visits this instance; as a worker makes it, which has none to make.
static uint32_t begin_connection(uint8_t instance, struct conn_key *key)
{
	const uint8_t instances[CHAIN_HOPS_MAX] = {instance};
	const struct conn_resolved resolved = {.epoch = sw->epoch, .chain = sw->chains[0]->number};
	uint32_t index;
	*key = kit_key4(1);
	conn_keys_hash(sw->conns, key, 1);
	cr_assert_eq(conn_reserve(sw->conns, 0, key, 0, 0, sw->janitor.now_s, &index), 0);
	struct conn *conn = conn_at(sw->conns, index);
	conn->state = CONN_TCP_ESTABLISHED;
	conn->seen_s = sw->janitor.now_s;
	cr_assert_eq(conn_publish(sw->conns, 0, index, sw->janitor.now_s + 100000), index);
	conn_resolve(sw->conns, conn, conn_generation(conn), &resolved);
	conn_choose(sw->conns, conn, sw->chains[0]->number, instances);
	cr_assert_eq(conn_count_in(sw->conns, sw->chains[0]->number, instance), 1);
	return index;
}

static bool is_given(uint8_t number)
{
	for (unsigned i = 0; i < HOP_INSTANCES_MAX; i++)
		if (sw->chains[0]->nfs[0][i]->number == number)
			return true;
	return false;
}

// In how many of the rounds an instance had the number.
static unsigned go_round(uint8_t number)
{
	unsigned given = 0;
	for (unsigned i = 0; i < ROUNDS; i++) {
		apply(i % 2 ? 0 : HOP_INSTANCES_MAX);
		given += is_given(number);
	}
	return given;
}

Test(chain_numbers, are_not_given_again_while_a_connection_names_them)
{
	struct conn_key key;
	uint8_t number = sw->chains[0]->nfs[0][3]->number;
	uint32_t index = begin_connection(number, &key);
	cr_expect_eq(go_round(number), 0);
	cr_assert(conn_remove(sw->conns, index, &key.id));
	cr_expect(go_round(number) > 0, "it is free again");
}
