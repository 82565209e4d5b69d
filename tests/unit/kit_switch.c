// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/kit_switch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/kit_eal.h"
#include "tests/unit/kit_schema.h"

struct weir_switch *sw;

static char run_dir[] = "/tmp/weir-test-XXXXXX", vm_dir[sizeof(run_dir) + 3];

void kit_switch_begin(void)
{
	kit_eal_start();
	cr_assert(mkdtemp(run_dir));
	snprintf(vm_dir, sizeof(vm_dir), "%s/vm", run_dir);
	cr_assert_eq(mkdir(vm_dir, 0700), 0);
}

void kit_switch_apply(const char *text)
{
	struct error err = {0};
	struct config *config = check(text);
	int rc = sw ? switch_apply(sw, config, &err)
		    : switch_create(&sw, config, &(struct switch_options){run_dir}, &err);
	cr_assert_eq(rc, 0, "%s", err.text);
	config_free(config);
}

void kit_switch_end(void)
{
	switch_destroy(sw);
	rmdir(vm_dir);
	rmdir(run_dir);
	kit_eal_stop();
}
