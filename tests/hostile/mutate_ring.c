// SPDX-License-Identifier: BSD-3-Clause
// The table of ring mutations, and those of descriptors, heads and indexes. Nothing is taken from
// the switch but the names of its faults, which the table says for what must end in one.
#include "tests/hostile/mutate_ring.h"

#include <string.h>

void attack_desc(
	struct attack *a, unsigned i, uint64_t addr, uint32_t len, uint16_t flags, unsigned next)
{
	a->ring->desc[FIRST + i] = (struct vring_desc){
		.addr = addr, .len = len, .flags = flags, .next = (uint16_t)next};
}

void attack_sound(struct attack *a, unsigned i)
{
	uint8_t frame[FRAME_SIZE_MAX];
	if (a->direction)
		guest_post(a->guest, (uint16_t)(FIRST + i));
	else
		guest_put(a->guest, (uint16_t)(FIRST + i), NULL, frame,
			frame_sound(a->rng, frame, a->guest->mac));
}

static uint64_t addr_of(const struct attack *a, unsigned i)
{
	return buffer_addr(a->ring->index, FIRST + i);
}

// --- chains --------------------------------------------------------------------------------------

static void loop_of_two(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 64, VRING_DESC_F_NEXT | a->direction, FIRST + 1);
	attack_desc(a, 1, addr_of(a, 1), 64, VRING_DESC_F_NEXT | a->direction, FIRST);
}

static void loop_to_itself(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 64, VRING_DESC_F_NEXT | a->direction, FIRST);
}

static void loop_of_all(struct attack *a)
{
	unsigned n = a->ring->size - FIRST;
	for (unsigned i = 0; i < n; i++)
		attack_desc(a, i, addr_of(a, i), 1 + rng_below(a->rng, 32),
			VRING_DESC_F_NEXT | a->direction, FIRST + (i + 1) % n);
}

static void next_beyond(struct attack *a)
{
	unsigned size = a->ring->size;
	attack_desc(a, 0, addr_of(a, 0), 64, VRING_DESC_F_NEXT | a->direction,
		size + rng_below(a->rng, 0x10000 - size));
}

static void chain_of_pieces(struct attack *a)
{
	unsigned n = 2 + rng_below(a->rng, a->ring->size - FIRST - 2);
	for (unsigned i = 0; i < n; i++)
		attack_desc(a, i, addr_of(a, i), 12 + rng_below(a->rng, 40),
			a->direction | (i + 1 < n ? VRING_DESC_F_NEXT : 0), FIRST + i + 1);
}

// --- addresses and lengths -----------------------------------------------------------------------

static void address_outside(struct attack *a)
{
	attack_desc(a, 0, OUTSIDE + rng_below(a->rng, 1 << 20), 64, a->direction, 0);
}

static void address_leaves_region(struct attack *a)
{
	uint64_t end = (rng_one_in(a->rng, 2) ? NEXT_BASE : TOP_BASE) + SIDE_BYTES;
	attack_desc(
		a, 0, end - rng_below(a->rng, 64), 65 + rng_below(a->rng, 5000), a->direction, 0);
}

static void address_wraps(struct attack *a)
{
	attack_desc(a, 0, -(uint64_t)(1 + rng_below(a->rng, 60)), 64, a->direction, 0);
}

static void across_regions(struct attack *a)
{
	attack_desc(a, 0, NEXT_BASE - 1 - rng_below(a->rng, 100), 128 + rng_below(a->rng, 900),
		a->direction, 0);
}

static void top_region(struct attack *a)
{
	attack_desc(a, 0, TOP_BASE + rng_below(a->rng, 60000), 32 + rng_below(a->rng, 1500),
		a->direction, 0);
}

static void length_4_gib(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 0xffffffff - rng_below(a->rng, 4096), a->direction, 0);
}

static void length_zero(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 0, a->direction, 0);
}

static void length_zero_in_chain(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 64, VRING_DESC_F_NEXT | a->direction, FIRST + 1);
	attack_desc(a, 1, addr_of(a, 1), 0, a->direction, 0);
}

static void length_below_header(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 1 + rng_below(a->rng, 9), a->direction, 0);
}

// To-vm the switch then writes frames over the descriptors and indexes that it reads next.
static void buffer_is_ring(struct attack *a)
{
	attack_desc(a, 0, GUEST_BASE + a->ring->place + rng_below(a->rng, TABLE_AT), BUFFER_SIZE,
		a->direction, 0);
}

// --- flags ---------------------------------------------------------------------------------------

static void wrong_direction(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 64, a->direction ^ VRING_DESC_F_WRITE, 0);
}

static void direction_changes(struct attack *a)
{
	attack_desc(a, 0, addr_of(a, 0), 64, VRING_DESC_F_NEXT | a->direction, FIRST + 1);
	attack_desc(a, 1, addr_of(a, 1), 64, a->direction ^ VRING_DESC_F_WRITE, 0);
}

static void unknown_flags(struct attack *a)
{
	attack_sound(a, 0);
	a->ring->desc[FIRST].flags |= (uint16_t)(rng_next(a->rng) & ~7ull);
}

static void garbage_descriptor(struct attack *a)
{
	attack_desc(a, 0, rng_next(a->rng), (uint32_t)rng_edge(a->rng), (uint16_t)rng_next(a->rng),
		(unsigned)rng_edge(a->rng));
	// Often enough an address that is one.
	if (rng_one_in(a->rng, 2))
		a->ring->desc[FIRST].addr = GUEST_BASE + rng_below(a->rng, MAIN_BYTES);
}

static void garbage_ring(struct attack *a)
{
	for (unsigned i = 0; FIRST + i < a->ring->size; i++)
		attack_desc(a, i, GUEST_BASE + rng_below(a->rng, FILE_BYTES),
			rng_below(a->rng, 3000), (uint16_t)rng_below(a->rng, 8),
			rng_below(a->rng, a->ring->size + 1u));
}

// --- heads and indexes ---------------------------------------------------------------------------

static void head_beyond(struct attack *a)
{
	a->head = (uint16_t)(a->ring->size + rng_below(a->rng, 0x10000u - a->ring->size));
}

static void head_repeated(struct attack *a)
{
	attack_sound(a, 0);
	a->times = 2 + rng_below(a->rng, 14);
}

static void give_index(struct attack *a, uint32_t ahead)
{
	attack_sound(a, 0);
	a->index_given = true;
	a->index = (uint16_t)(a->start + ahead);
}

static void index_jump(struct attack *a)
{
	give_index(a, a->ring->size + 1u + rng_below(a->rng, 0xffffu - a->ring->size));
}

static void index_goes_back(struct attack *a)
{
	give_index(a, 0x10000u - 1 - rng_below(a->rng, 200));
}

static void index_half_way(struct attack *a)
{
	give_index(a, 0x8000);
}

// More entries than were written: what stands in them is old.
static void index_ahead(struct attack *a)
{
	give_index(a, 1 + rng_below(a->rng, a->ring->size));
}

static void garbage_events(struct attack *a)
{
	attack_sound(a, 0);
	a->ring->avail->ring[a->ring->size] = (uint16_t)rng_next(a->rng);
	a->ring->avail->flags = (uint16_t)rng_next(a->rng);
}

static void garbage_used(struct attack *a)
{
	attack_sound(a, 0);
	rng_fill(a->rng, a->ring->used, 6u + 8u * a->ring->size);
}

// --- the table -----------------------------------------------------------------------------------

#define BOTH_RINGS ((1 << TO_VM) | (1 << FROM_VM))
#define LEAVING    (1 << FROM_VM)
#define OUT_OF_MEM "descriptor outside the guest's memory"
#define BAD_LENGTH "descriptor of length zero or shorter than its header"
#define BAD_INDEX  "available index beyond the ring or gone back"
#define BAD_HEAD   "descriptor index beyond the ring"
#define WRONG_WAY  "descriptor of the wrong direction"
#define LOOP       "descriptor loop"
#define BAD_TABLE  "malformed indirect table"

static const struct ring_mutation mutations[] = {
	{"loop of two", BOTH_RINGS, STOPS, loop_of_two, LOOP},
	{"loop to itself", BOTH_RINGS, STOPS, loop_to_itself, LOOP},
	{"loop of the whole ring", BOTH_RINGS, STOPS, loop_of_all, LOOP},
	{"next beyond the ring", BOTH_RINGS, STOPS, next_beyond, BAD_HEAD},
	{"chain of many pieces", BOTH_RINGS, GOES_ON, chain_of_pieces, NULL},
	{"address outside", BOTH_RINGS, STOPS, address_outside, OUT_OF_MEM},
	{"address leaves its region", BOTH_RINGS, STOPS, address_leaves_region, OUT_OF_MEM},
	{"address wraps", BOTH_RINGS, STOPS, address_wraps, OUT_OF_MEM},
	{"buffer across regions", BOTH_RINGS, GOES_ON, across_regions, NULL},
	{"buffer in the top region", BOTH_RINGS, GOES_ON, top_region, NULL},
	{"buffer is the ring itself", BOTH_RINGS, EITHER, buffer_is_ring, NULL},
	{"length 4 GiB", BOTH_RINGS, STOPS, length_4_gib, OUT_OF_MEM},
	{"length zero", BOTH_RINGS, STOPS, length_zero, BAD_LENGTH},
	{"length zero in a chain", BOTH_RINGS, STOPS, length_zero_in_chain, BAD_LENGTH},
	{"length below the header", BOTH_RINGS, STOPS, length_below_header, BAD_LENGTH},
	{"wrong direction", BOTH_RINGS, STOPS, wrong_direction, WRONG_WAY},
	{"direction changes in a chain", BOTH_RINGS, STOPS, direction_changes, WRONG_WAY},
	{"unknown flags", BOTH_RINGS, GOES_ON, unknown_flags, NULL},
	{"garbage descriptor", BOTH_RINGS, EITHER, garbage_descriptor, NULL},
	{"garbage in the whole ring", BOTH_RINGS, EITHER, garbage_ring, NULL},
	{"head beyond the ring", BOTH_RINGS, STOPS, head_beyond, BAD_HEAD},
	{"head repeated", BOTH_RINGS, GOES_ON, head_repeated, NULL},
	{"index jumps", BOTH_RINGS, STOPS, index_jump, BAD_INDEX},
	{"index goes back", BOTH_RINGS, STOPS, index_goes_back, BAD_INDEX},
	{"index jumps half way", BOTH_RINGS, STOPS, index_half_way, BAD_INDEX},
	{"index ahead of its entries", BOTH_RINGS, EITHER, index_ahead, NULL},
	{"garbage event index and flags", BOTH_RINGS, GOES_ON, garbage_events, NULL},
	{"garbage in the used ring", BOTH_RINGS, EITHER, garbage_used, NULL},
	{"indirect: sound", BOTH_RINGS, EITHER, indirect_sound, NULL},
	{"indirect: table across regions", BOTH_RINGS, EITHER, indirect_across_regions, NULL},
	{"indirect: odd length", BOTH_RINGS, STOPS, indirect_odd, BAD_TABLE},
	{"indirect: giant table", BOTH_RINGS, STOPS, indirect_giant, BAD_TABLE},
	{"indirect: empty table", BOTH_RINGS, STOPS, indirect_empty, BAD_TABLE},
	{"indirect: nested", BOTH_RINGS, STOPS, indirect_nested, BAD_TABLE},
	{"indirect: nested in the chain", BOTH_RINGS, STOPS, indirect_nested_later, BAD_TABLE},
	{"indirect: table outside", BOTH_RINGS, STOPS, indirect_outside, OUT_OF_MEM},
	{"indirect: loop", BOTH_RINGS, STOPS, indirect_loop, LOOP},
	{"indirect: with a next", BOTH_RINGS, STOPS, indirect_next, BAD_TABLE},
	{"indirect: next beyond the table", BOTH_RINGS, STOPS, indirect_next_beyond, BAD_TABLE},
	{"indirect: chain too long", BOTH_RINGS, STOPS, indirect_too_long,
		"descriptor chain longer than 1024"},
	{"indirect: table is the ring", BOTH_RINGS, EITHER, indirect_is_ring, NULL},
	{"indirect: garbage table", BOTH_RINGS, EITHER, indirect_garbage, NULL},
	{"frame: noise", LEAVING, GOES_ON, frame_noise, NULL},
	{"frame: broken", LEAVING, GOES_ON, frame_broken, NULL},
	{"frame: too short", LEAVING, GOES_ON, frame_short, NULL},
	{"frame: too long", LEAVING, GOES_ON, frame_too_long, NULL},
	{"frame: source is a group", LEAVING, GOES_ON, frame_group_source, NULL},
	{"header: noise", LEAVING, GOES_ON, header_noise, NULL},
	{"header: lies about checksums", LEAVING, GOES_ON, header_checksum, NULL},
	{"header: lies about segments", LEAVING, GOES_ON, header_segmentation, NULL},
	{"race: address", BOTH_RINGS, EITHER, race_address, NULL},
	{"race: length and flags", BOTH_RINGS, EITHER, race_length, NULL},
	{"race: rest of a chain", BOTH_RINGS, EITHER, race_chain, NULL},
	{"race: head", BOTH_RINGS, EITHER, race_head, NULL},
	{"race: index", BOTH_RINGS, EITHER, race_index, NULL},
	{"race: indirect table", BOTH_RINGS, EITHER, race_table, NULL},
	{"race: header and frame", LEAVING, GOES_ON, race_header, NULL},
};

_Static_assert(sizeof(mutations) / sizeof(mutations[0]) == RING_MUTATIONS, "RING_MUTATIONS");

const struct ring_mutation *ring_mutation(unsigned i)
{
	return &mutations[i];
}
