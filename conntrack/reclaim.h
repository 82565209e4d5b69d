// SPDX-License-Identifier: BSD-3-Clause
// One of the janitor's slices over the connection table, for the files that look at entries in it.
// Janitor.
#ifndef WEIR_CONNTRACK_RECLAIM_H
#define WEIR_CONNTRACK_RECLAIM_H

#include "conntrack/table_inner.h"

enum {
	SLICE_BATCH = 64
};

struct slice {
	struct conn_table *table;
	const struct track_settings *settings;
	uint32_t now_s;
	bool under_pressure; // all entries are looked at
	uint32_t lacking;    // entries to be removed before their time
	uint16_t greediest;
	uint32_t surplus; // unanswered ones that it has more than the next one
	uint32_t nbatch, batch[SLICE_BATCH];
	uint32_t total;
};

// What an entry's time-out depends on.
struct moment {
	enum conn_state state;
	uint32_t seen_s;
};

// Removes an entry and counts it, unless a worker has renewed it since that moment: the janitor may
// have been held up in between. NULL: in any case. False: it stays.
bool slice_take_away(
	struct slice *slice, uint32_t index, const struct moment *moment, _Atomic uint64_t *count);

// --- conntrack/table_pressure.c

// At the start of a slice: how many entries lack.
void pressure_look(struct slice *slice);
// Of an entry of a slice under pressure.
void pressure_look_at(struct slice *slice, uint32_t index, const struct moment *moment);
// Behind each place of the table.
void pressure_step(struct slice *slice);

#endif
