// SPDX-License-Identifier: BSD-3-Clause
// Who has an address: the networks of all ports in groups, flattened into runs of addresses that
// belong to the longest network around them, and found by halving. Made by the main thread, and
// immutable then.
#include "switch/rules.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 address;

enum {
	NOBODY = UINT32_MAX,
	NESTED_MAX = 129 // lengths of networks that can lie inside each other
};

struct network {
	address first, last;
	uint32_t list;   // in lists
	uint8_t reached; // its length in bits and 1
};

// From here to the next run's start.
struct run {
	address first;
	uint32_t list; // or NOBODY
	uint8_t reached;
};

struct runs {
	uint32_t count;
	struct run *of;
};

struct members {
	struct runs runs[2]; // by enum conn_family
	uint32_t nlists;
	struct group_list *lists;
};

// IPv4 addresses are numbers of 32 bits.
static address number_of(const uint8_t *bytes, unsigned size)
{
	address number = 0;
	for (unsigned i = 0; i < size; i++)
		number = number << 8 | bytes[i];
	return number;
}

static void make_network(struct network *network, const struct config_prefix *prefix, uint32_t list)
{
	unsigned size = prefix->family == AF_INET ? 4 : 16;
	unsigned open = 8 * size - prefix->length;
	network->first = number_of(prefix->address, size);
	network->last = network->first | (open == 128 ? ~(address)0 : ((address)1 << open) - 1);
	network->list = list;
	network->reached = prefix->length + 1;
}

// Outer networks before those inside them.
static int in_order(const void *a, const void *b)
{
	const struct network *x = a, *y = b;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->last != y->last)
		return x->last > y->last ? -1 : 1;
	return x->list < y->list ? -1 : x->list > y->list;
}

void group_list_add(struct group_list *to, const struct group_list *from)
{
	for (uint16_t i = 0; i < from->count; i++) {
		bool has = false;
		for (uint16_t k = 0; k < to->count && !has; k++)
			has = to->of[k] == from->of[i];
		if (!has && to->count < PORT_GROUPS_MAX)
			to->of[to->count++] = from->of[i];
	}
}

// NULL: nobody's.
static void add_run(struct runs *runs, address first, const struct network *network)
{
	if (runs->count && runs->of[runs->count - 1].first == first)
		runs->count--;
	runs->of[runs->count++] = (struct run){
		first, network ? network->list : NOBODY, network ? network->reached : 0};
}

// The list that the network closes behind it is that of the one around it.
static void close_network(struct runs *runs, const struct network *stack[], unsigned *depth)
{
	const struct network *top = stack[--*depth];
	if (top->last != ~(address)0)
		add_run(runs, top->last + 1, *depth ? stack[*depth - 1] : NULL);
}

// Networks in order, none twice; they lie inside each other or apart.
static int flatten(struct runs *runs, const struct network *networks, uint32_t count)
{
	const struct network *stack[NESTED_MAX];
	unsigned depth = 0;
	runs->of = calloc(2 * (size_t)count + 1, sizeof(*runs->of));
	if (!runs->of)
		return -1;
	add_run(runs, 0, NULL);
	for (uint32_t i = 0; i < count; i++) {
		while (depth && stack[depth - 1]->last < networks[i].first)
			close_network(runs, stack, &depth);
		stack[depth++] = &networks[i];
		add_run(runs, networks[i].first, &networks[i]);
	}
	while (depth)
		close_network(runs, stack, &depth);
	return 0;
}

// Ports with the same network share it: a list of its own has the groups of all.
static uint32_t merge_equal(struct members *members, struct network *networks, uint32_t count)
{
	uint32_t kept = 0;
	bool shared = false;
	for (uint32_t i = 0; i < count; i++) {
		struct network *last = &networks[kept ? kept - 1 : 0];
		if (!kept || networks[i].first != last->first || networks[i].last != last->last) {
			networks[kept++] = networks[i];
			shared = false;
			continue;
		}
		if (!shared) {
			members->lists[members->nlists] = members->lists[last->list];
			last->list = members->nlists++;
			shared = true;
		}
		group_list_add(&members->lists[last->list], &members->lists[networks[i].list]);
	}
	return kept;
}

static int add_family(struct members *members, struct network *networks,
	struct config_port *const *ports, size_t n, enum conn_family family)
{
	uint8_t wanted = family == CONN_IPV4 ? AF_INET : AF_INET6;
	uint32_t count = 0;
	for (size_t i = 0; i < n; i++) {
		const struct config_addresses *addresses = &ports[i]->addresses;
		for (uint16_t k = 0; k < addresses->nips && ports[i]->ngroups; k++)
			if (addresses->ips[k].family == wanted)
				make_network(&networks[count++], &addresses->ips[k], (uint32_t)i);
	}
	qsort(networks, count, sizeof(*networks), in_order);
	return flatten(&members->runs[family], networks, merge_equal(members, networks, count));
}

struct members *members_new(const struct rules *rules, struct config_port *const *ports, size_t n)
{
	size_t room = 0;
	for (size_t i = 0; i < n; i++)
		room += ports[i]->ngroups ? ports[i]->addresses.nips : 0;
	struct members *members = calloc(1, sizeof(*members));
	struct network *networks = calloc(room + 1, sizeof(*networks));
	// A shared network needs two of a kind.
	struct group_list *lists = calloc(n + room / 2 + 1, sizeof(*lists));
	if (!members || !networks || !lists) {
		free(lists);
		free(members);
		members = NULL;
		goto out;
	}
	members->lists = lists;
	members->nlists = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		rules_group_list(rules, ports[i], &lists[i]);
	if (add_family(members, networks, ports, n, CONN_IPV4) ||
		add_family(members, networks, ports, n, CONN_IPV6)) {
		members_free(members);
		members = NULL;
	}
out:
	free(networks);
	return members;
}

void members_free(struct members *members)
{
	if (!members)
		return;
	free(members->runs[CONN_IPV4].of);
	free(members->runs[CONN_IPV6].of);
	free(members->lists);
	free(members);
}

unsigned members_find(const struct members *members, enum conn_family family, const uint8_t *bytes,
	struct group_list *list)
{
	const struct runs *runs = &members->runs[family];
	address number = number_of(bytes, family == CONN_IPV4 ? 4 : 16);
	// The last run that begins at the address or before it; the first begins at 0.
	uint32_t at = 0;
	for (uint32_t count = runs->count; count > 1;) {
		uint32_t half = count / 2;
		if (runs->of[at + half].first <= number)
			at += half;
		count -= half;
	}
	if (runs->of[at].list == NOBODY)
		list->count = 0;
	else
		*list = members->lists[runs->of[at].list];
	return runs->of[at].reached;
}
