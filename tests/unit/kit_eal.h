// SPDX-License-Identifier: BSD-3-Clause
// An EAL for a test, in memory of its own.
#ifndef WEIR_TESTS_UNIT_KIT_EAL_H
#define WEIR_TESTS_UNIT_KIT_EAL_H

void kit_eal_start(void);
void kit_eal_stop(void);

#endif
