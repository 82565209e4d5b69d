// SPDX-License-Identifier: BSD-3-Clause
#include "conntrack/state.h"

static const struct {
	const char *name;
	uint32_t timeout_s;
	enum conn_class class;
} states[CONN_STATE_COUNT] = {[CONN_FREE] = {"free", 0, CONN_CLASS_NONE},
#define X(id, state_name, timeout, worth) [CONN_##id] = {state_name, timeout, CONN_CLASS_##worth},
	CONN_STATES(X)
#undef X
};

const char *conn_state_name(enum conn_state state)
{
	return states[state].name;
}

enum conn_class conn_state_class(enum conn_state state)
{
	return states[state].class;
}

void track_settings_default(struct track_settings *settings)
{
	*settings = (struct track_settings){0};
	for (int state = 0; state < CONN_STATE_COUNT; state++)
		settings->timeouts_s[state] = states[state].timeout_s;
}
