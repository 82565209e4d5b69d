// SPDX-License-Identifier: BSD-3-Clause
// A switch in a folder of its own, without VMs.
#ifndef WEIR_TESTS_UNIT_KIT_SWITCH_H
#define WEIR_TESTS_UNIT_KIT_SWITCH_H

#include "switch/switch.h"

// NULL until the first document was applied.
extern struct weir_switch *sw;

void kit_switch_begin(void);
// Creates the switch by the document, or changes it.
void kit_switch_apply(const char *text);
void kit_switch_end(void);

#endif
