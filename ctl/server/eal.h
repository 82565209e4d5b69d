// SPDX-License-Identifier: BSD-3-Clause
// DPDK's environment: its command line, its memory, its log. Main thread, once per process.
#ifndef WEIR_CTL_SERVER_EAL_H
#define WEIR_CTL_SERVER_EAL_H

#include "base/config.h"
#include "base/error.h"

// Refuses options that take lcores from the switch. `argv` is what the user gave behind `--`.
int eal_check(int argc, char **argv, struct error *err);
// Initialises it for the configuration's memory and huge pages. 0, or -errno with a sentence.
int eal_start(const struct config_switch *config, int argc, char **argv, struct error *err);
// What packet memory is made of: "huge pages" or "ordinary pages". Static.
const char *eal_memory(void);
void eal_stop(void);

// Sends what DPDK says to base/log. Called by eal_start.
int eal_log_open(void);

#endif
