// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_eal.h"

#include <criterion/criterion.h>
#include <rte_eal.h>
#include <stdio.h>
#include <unistd.h>

void kit_eal_start(void)
{
	char prefix[40];
	snprintf(prefix, sizeof(prefix), "--file-prefix=weir-test-%d", getpid());
	char *argv[] = {"test", "--no-huge", "--no-pci", "--no-shconf", "-m", "256",
		"--no-telemetry", "--log-level=lib.eal:error", "--lcores=0@0", prefix};
	cr_assert_geq(rte_eal_init(sizeof(argv) / sizeof(*argv), argv), 0);
	// As weir-switchd does, so that nothing is left where a test crashes.
	rmdir(rte_eal_get_runtime_dir());
}

void kit_eal_stop(void)
{
	rte_eal_cleanup();
}
