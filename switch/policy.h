// SPDX-License-Identifier: BSD-3-Clause
// Rules applied to packets whose receiver is known.
#ifndef WEIR_SWITCH_POLICY_H
#define WEIR_SWITCH_POLICY_H

#include "switch/pipeline.h"

// Whether a flooded packet may go to `out`, a port with groups. Worker, in tx.
bool policy_admits_flooded(
	struct pass *pass, const struct port_view *out, const struct packet *packet);

#endif
