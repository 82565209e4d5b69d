// SPDX-License-Identifier: BSD-3-Clause
// Which way a branch of the data path mostly goes, where the compiler would guess otherwise.
#ifndef WEIR_BASE_LIKELY_H
#define WEIR_BASE_LIKELY_H

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#endif
