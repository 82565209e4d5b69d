// SPDX-License-Identifier: BSD-3-Clause
// When an instance counts as one that does not answer.
#include "switch/probe.h"

#include <criterion/criterion.h>

#define MS UINT64_C(1000000)

static const struct config_probe config = {.interval_ns = 200 * MS, .failures = 3};
static struct probe probe;
static uint64_t now_ns, last_number = 1000;

static void send_all(void)
{
	atomic_store(&probe.sent, atomic_load(&probe.asked));
}

// A look, each 100 ms, as the switch does it; then the worker sends what is to be sent.
static bool look(void)
{
	now_ns += 100 * MS;
	bool serves = probe_is_answered(&probe, &config, now_ns);
	if (probe_is_due(&probe, config.interval_ns, now_ns))
		probe_ask(&probe, ++last_number, now_ns);
	return serves;
}

static bool look_and_send(void)
{
	bool serves = look();
	send_all();
	return serves;
}

static void begin(void)
{
	now_ns = 5000 * MS;
	probe_begin(&probe);
	cr_assert(!look_and_send());
	cr_assert(probe_hear(&probe, last_number));
	cr_assert(look_and_send());
}

TestSuite(probe, .init = begin);

Test(probe, what_answers_serves)
{
	for (unsigned i = 0; i < 100; i++) {
		cr_expect(look_and_send());
		probe_hear(&probe, last_number);
	}
	cr_expect_eq(atomic_load(&probe.asked), 51, "one each 200 ms");
}

Test(probe, what_is_silent_is_out_of_service_within_a_second_and_back_with_its_first_answer)
{
	unsigned looks = 0;
	while (looks < 20 && look_and_send())
		looks++;
	cr_expect(looks >= 6 && looks < 9, "after %u looks", looks);
	cr_expect(!look_and_send());
	cr_expect(probe_hear(&probe, last_number));
	cr_expect(look_and_send());
}

Test(probe, one_that_gets_lost_is_no_silence)
{
	for (unsigned i = 0; i < 100; i++) {
		cr_expect(look_and_send());
		if (last_number % 3 == 0)
			probe_hear(&probe, last_number);
	}
}

Test(probe, slow_answers_are_answers)
{
	for (unsigned i = 0; i < 100; i++) {
		cr_expect(look_and_send());
		probe_hear(&probe, last_number - 2);
	}
}

Test(probe, what_was_not_sent_is_no_silence)
{
	for (unsigned i = 0; i < 50; i++)
		cr_expect(look());
}

Test(probe, a_number_is_good_for_one_answer)
{
	look_and_send();
	look_and_send();
	cr_expect(!probe_hear(&probe, 0));
	cr_expect(!probe_hear(&probe, last_number + 1));
	cr_expect(probe_hear(&probe, last_number));
	cr_expect(!probe_hear(&probe, last_number));
	for (unsigned i = 0; i < 3 * PROBE_FAILURES_MAX; i++)
		look_and_send();
	cr_expect(!probe_hear(&probe, last_number - PROBE_FAILURES_MAX), "too old");
	cr_expect(probe_hear(&probe, last_number - PROBE_FAILURES_MAX + 1));
}

Test(probe, answers_in_another_order)
{
	for (unsigned i = 0; i < 4; i++)
		look_and_send();
	cr_expect(probe_hear(&probe, last_number));
	cr_expect(probe_hear(&probe, last_number - 1));
	cr_expect_eq(atomic_load(&probe.answered), atomic_load(&probe.asked));
}

Test(probe, what_comes_up_again_is_to_answer_first)
{
	probe_begin(&probe);
	cr_expect(!look_and_send());
	cr_expect(!look_and_send());
	probe_hear(&probe, last_number);
	cr_expect(look_and_send());
}

Test(probe, what_serves_without_goes_on_when_it_is_probed)
{
	probe_end(&probe);
	cr_expect(look_and_send());
	cr_expect(look_and_send());
}

Test(probe, a_shorter_interval_counts_at_once)
{
	struct probe slow = {0};
	cr_expect(probe_is_due(&slow, 10000 * MS, 1000 * MS));
	cr_expect(!probe_is_due(&slow, 10000 * MS, 1200 * MS));
	cr_expect(probe_is_due(&slow, 200 * MS, 1200 * MS));
	cr_expect(!probe_is_due(&slow, 200 * MS, 1399 * MS));
	cr_expect(probe_is_due(&slow, 200 * MS, 1400 * MS));
	cr_expect(probe_is_due(&slow, 200 * MS, 1650 * MS));
	cr_expect(probe_is_due(&slow, 200 * MS, 1800 * MS), "late ones shift none");
	cr_expect(probe_is_due(&slow, 200 * MS, 5100 * MS));
	cr_expect(!probe_is_due(&slow, 200 * MS, 5200 * MS), "missed ones are not made up for");
}

Test(probe, turns_wrap)
{
	atomic_store(&probe.asked, UINT32_MAX - 5);
	atomic_store(&probe.answered, UINT32_MAX - 5);
	for (unsigned i = 0; i < 50; i++) {
		cr_expect(look_and_send());
		probe_hear(&probe, last_number);
	}
	cr_expect_eq(atomic_load(&probe.answered), atomic_load(&probe.asked));
}
