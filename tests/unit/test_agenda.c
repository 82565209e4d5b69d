// SPDX-License-Identifier: BSD-3-Clause
// Which queues a round looks at.
#include "switch/agenda.h"

#include <criterion/criterion.h>

#include "tests/unit/kit_guest.h"

enum {
	QUEUES_MAX = 1000
};

static uint64_t words[QUEUES_MAX + QUEUES_MAX / AGENDA_GROUP + 16];
static struct agenda agenda;

// What each queue answers, and what is seen of it.
static struct seen {
	uint64_t again;
	uint64_t due;
	unsigned looks;
} seen[QUEUES_MAX];

static uint64_t look(void *ctx, uint32_t i, uint64_t due)
{
	cr_expect_null(ctx);
	seen[i].looks++;
	seen[i].due = due;
	return seen[i].again;
}

static void start(uint32_t queues)
{
	memset(words, 0, sizeof(words));
	memset(seen, 0, sizeof(seen));
	agenda = agenda_at(words, queues);
}

Test(agenda, what_is_free_is_looked_at_in_each_round)
{
	start(100);
	for (unsigned round = 0; round < 10; round++)
		cr_expect_eq(agenda_round(&agenda, 100, round, look, NULL), UINT64_MAX);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(seen[i].looks, 10);
	cr_expect_eq(agenda_round(&agenda, 0, 0, look, NULL), UINT64_MAX);
}

Test(agenda, what_is_held_is_not_until_it_is_due)
{
	start(100);
	seen[40].again = 1000;
	cr_expect_eq(agenda_round(&agenda, 100, 1, look, NULL), 1000);
	cr_expect(agenda_holds(&agenda, 40, 999));
	cr_expect_not(agenda_holds(&agenda, 40, 1000));
	cr_expect_eq(agenda_round(&agenda, 100, 999, look, NULL), 1000);
	cr_expect_eq(seen[40].looks, 1);
	cr_expect_eq(seen[41].looks, 2);
	seen[40].again = 0;
	cr_expect_eq(agenda_round(&agenda, 100, 1000, look, NULL), UINT64_MAX);
	cr_expect_eq(seen[40].due, 1000);
	cr_expect_eq(seen[40].looks, 2);
}

Test(agenda, a_reset_ends_all_waiting)
{
	start(100);
	for (unsigned i = 0; i < 100; i++)
		seen[i].again = UINT64_MAX;
	agenda_round(&agenda, 100, 1, look, NULL);
	agenda_reset(&agenda, 100);
	agenda_round(&agenda, 100, 2, look, NULL);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(seen[i].looks, 2);
}

// Beside a plain list of due times.
Test(agenda, at_random)
{
	static uint64_t due[QUEUES_MAX];
	static unsigned looks[QUEUES_MAX];
	uint64_t random = 7;
	for (uint32_t queues = 1; queues <= QUEUES_MAX; queues = queues * 3 + 1) {
		start(queues);
		memset(due, 0, sizeof(due));
		memset(looks, 0, sizeof(looks));
		uint64_t now = 0;
		for (unsigned round = 0; round < 3000; round++, now += kit_random(&random) % 50) {
			uint64_t next = UINT64_MAX;
			for (uint32_t i = 0; i < queues; i++) {
				uint64_t wait = kit_random(&random) % 1000;
				seen[i].again = wait % 4 ? now + 1 + wait : 0;
				if (due[i] <= now) {
					looks[i]++;
					due[i] = seen[i].again;
				}
				next = due[i] && due[i] < next ? due[i] : next;
			}
			cr_assert_eq(agenda_round(&agenda, queues, now, look, NULL), next);
			for (uint32_t i = 0; i < queues; i++)
				cr_assert_eq(seen[i].looks, looks[i]);
		}
	}
}

Test(agenda, one_may_be_called_before_it_is_due)
{
	start(100);
	for (unsigned i = 0; i < 100; i++)
		seen[i].again = UINT64_MAX;
	cr_expect_eq(agenda_round(&agenda, 100, 1, look, NULL), UINT64_MAX);
	agenda_call(&agenda, 70);
	seen[70].again = 0;
	for (unsigned round = 2; round < 5; round++)
		agenda_round(&agenda, 100, round, look, NULL);
	for (unsigned i = 0; i < 100; i++)
		cr_expect_eq(seen[i].looks, i == 70 ? 4 : 1, "queue %u: %u", i, seen[i].looks);
}
