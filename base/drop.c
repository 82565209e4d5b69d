// SPDX-License-Identifier: BSD-3-Clause
#include "base/drop.h"

static const char *const names[DROP_REASON_COUNT] = {[DROP_NONE] = "none",
#define X(id, name, about) [DROP_##id] = name,
	DROP_REASONS(X)
#undef X
};

static const char *const abouts[DROP_REASON_COUNT] = {[DROP_NONE] = "not dropped",
#define X(id, name, about) [DROP_##id] = about,
	DROP_REASONS(X)
#undef X
};

const char *drop_name(enum drop_reason reason)
{
	return names[reason];
}

const char *drop_about(enum drop_reason reason)
{
	return abouts[reason];
}
