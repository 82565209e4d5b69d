// SPDX-License-Identifier: BSD-3-Clause
// RCU, QSBR flavour. Workers and the janitor are the only readers: they register, report a
// quiescent state again and again, and go offline before they sleep. The main thread and the vhost
// library's threads publish, wait for a grace period and free; they are never readers, so they may
// wait while they hold locks that no reader takes.
#ifndef WEIR_BASE_RCU_H
#define WEIR_BASE_RCU_H

// The short names, and the read side inline: it runs once per round.
#define URCU_API_MAP
#define _LGPL_SOURCE
#include <urcu/urcu-qsbr.h>
#include <urcu/pointer.h>

#endif
