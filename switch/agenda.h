// SPDX-License-Identifier: BSD-3-Clause
// When each of a worker's queues is to be looked at. One whose next frame is not due is passed by
// with a compare, and of GROUP of them with one: a thousand held queues cost some dozen loads a
// round, and none of their ports is touched.
//
// Life cycle: the worker's own, but made with each snapshot, since that numbers the queues; zeroed,
// all are to be looked at.
#ifndef WEIR_SWITCH_AGENDA_H
#define WEIR_SWITCH_AGENDA_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
	AGENDA_GROUP = 32
};

struct agenda {
	uint64_t *due;   // by queue, TSC; 0: in each round
	uint64_t *first; // by group of queues, the first of its due times
};

static inline uint32_t agenda_groups(uint32_t queues)
{
	return (queues + AGENDA_GROUP - 1) / AGENDA_GROUP;
}

// Words that an agenda of so many queues takes; a whole number of cache lines.
static inline size_t agenda_words(uint32_t queues)
{
	return ((size_t)queues + agenda_groups(queues) + 7) & ~(size_t)7;
}

static inline struct agenda agenda_at(uint64_t *words, uint32_t queues)
{
	return (struct agenda){.due = words, .first = words + queues};
}

// All are to be looked at again.
static inline void agenda_reset(const struct agenda *agenda, uint32_t queues)
{
	memset(agenda->due, 0, agenda_words(queues) * sizeof(uint64_t));
}

// Queue i is to be looked at in the next round.
static inline void agenda_call(const struct agenda *agenda, uint32_t i)
{
	agenda->due[i] = 0;
	agenda->first[i / AGENDA_GROUP] = 0;
}

// Whether queue i is held back at that time.
static inline bool agenda_holds(const struct agenda *agenda, uint32_t i, uint64_t now)
{
	return agenda->due[i] > now;
}

// A round over the queues: of each that is due by `now`, look(ctx, i, due) is called; what it
// returns is when to look again, 0 for the next round. Returns the first time at which a queue is
// due that is held back; UINT64_MAX: none is.
static inline uint64_t agenda_round(const struct agenda *agenda, uint32_t queues, uint64_t now,
	uint64_t (*look)(void *ctx, uint32_t i, uint64_t due), void *ctx)
{
	uint64_t next = UINT64_MAX;
	for (uint32_t g = 0, i = 0; i < queues; g++) {
		uint32_t end = i + AGENDA_GROUP < queues ? i + AGENDA_GROUP : queues;
		uint64_t first = agenda->first[g];
		if (first > now) {
			next = first < next ? first : next;
			i = end;
			continue;
		}
		first = UINT64_MAX;
		for (; i < end; i++) {
			uint64_t due = agenda->due[i];
			if (due <= now)
				agenda->due[i] = due = look(ctx, i, due);
			first = due < first ? due : first;
			if (due && due < next)
				next = due;
		}
		agenda->first[g] = first;
	}
	return next;
}

#endif
