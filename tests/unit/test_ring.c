// SPDX-License-Identifier: BSD-3-Clause
// Set-up, notifications in both directions, and every kind of fault.
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define USUAL      (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC))
#define MERGEABLE  (USUAL | FEATURE(VIRTIO_NET_F_MRG_RXBUF))
#define EVENTS     (USUAL | FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct kit_guest guest;
static struct kit_driver driver;
static struct ring ring;
static struct burst burst;
static struct ring_layout layout;

static void start_at(uint16_t size, uint16_t index, uint64_t features)
{
	kit_guest_init_usual(&guest, 1 << 20);
	kit_driver_init(&driver, &guest, size, index, features);
	struct ring_setup setup = kit_driver_setup(&driver);
	cr_assert_eq(ring_init(&ring, &setup), 0);
}

static void stop(void)
{
	ring_fini(&ring);
	kit_driver_fini(&driver);
	kit_guest_fini(&guest);
}

static int send_one(void)
{
	static const uint8_t bytes[60] = {1, 2, 3};
	const struct virtio_net_hdr none = {0};
	return kit_send(&driver, &none, bytes, 60,
		&(struct kit_layout){.n = 2, .ndirect = 2, .lens = {30, 42}});
}

static int post_one(void)
{
	return kit_post_buffer(
		&driver, &(struct kit_layout){.n = 2, .ndirect = 2, .lens = {1000, 2000}});
}

static int put_one(void)
{
	static uint8_t head[60];
	struct frame f = {.head = head, .head_len = 60};
	return ring_put(&ring, &f);
}

// --- set-up --------------------------------------------------------------------------------------

Test(ring, setup_is_checked)
{
	start_at(8, 0, USUAL);
	struct ring_setup good = kit_driver_setup(&driver), bad;
	static const uint16_t sizes[] = {0, 3, 6, 32769, 65535};
	for (unsigned i = 0; i < 5; i++) {
		bad = good;
		bad.size = sizes[i];
		cr_assert_eq(ring_init(&(struct ring){0}, &bad), -EINVAL);
	}
	bad = good;
	bad.desc = (struct vring_desc *)((uint8_t *)bad.desc + 8);
	cr_assert_eq(ring_init(&(struct ring){0}, &bad), -EINVAL);
	bad = good;
	bad.avail = (struct vring_avail *)((uint8_t *)bad.avail + 1);
	cr_assert_eq(ring_init(&(struct ring){0}, &bad), -EINVAL);
	bad = good;
	bad.used = NULL;
	cr_assert_eq(ring_init(&(struct ring){0}, &bad), -EINVAL);
	bad = good;
	bad.mem = &(const struct guest_memory){0};
	cr_assert_eq(ring_init(&(struct ring){0}, &bad), -EINVAL);
	stop();
}

// --- signals to the driver -----------------------------------------------------------------------

static void move_one(void)
{
	cr_assert_geq(send_one(), 0);
	kit_publish(&driver);
	cr_assert_eq(ring_take(&ring, &burst, 1), 1);
	kit_complete(&ring);
}

static void pop_all(void)
{
	struct kit_used used;
	while (kit_pop(&driver, &used))
		;
}

Test(ring, signals_by_flag)
{
	start_at(64, 0, USUAL);
	kit_want_signal(&driver, false);
	move_one();
	cr_assert_eq(kit_signals(&driver), 0);
	kit_want_signal(&driver, true);
	move_one();
	move_one();
	cr_assert_eq(kit_signals(&driver), 2);
	cr_assert_eq(ring.signals, 2);
	kit_complete(&ring); // nothing taken
	cr_assert_eq(ring.signals, 2);
	stop();
}

Test(ring, signals_by_event_index)
{
	start_at(64, 65530, EVENTS);
	kit_want_signal(&driver, false);
	move_one();
	cr_assert_eq(kit_signals(&driver), 1, "the first one is always signalled");
	for (unsigned i = 0; i < 20; i++) {
		move_one();
		pop_all();
		cr_assert_eq(kit_signals(&driver), 0);
	}
	kit_want_signal(&driver, true);
	move_one();
	cr_assert_eq(kit_signals(&driver), 1);
	move_one(); // the event was passed and is not named again
	cr_assert_eq(kit_signals(&driver), 0);
	pop_all();
	// Three entries ahead: only the burst that reaches it signals.
	driver.avail->ring[driver.size] = (uint16_t)(driver.used_seen + 2);
	move_one();
	move_one();
	cr_assert_eq(kit_signals(&driver), 0);
	move_one();
	cr_assert_eq(kit_signals(&driver), 1);
	stop();
}

Test(ring, signals_of_a_to_vm_ring)
{
	start_at(64, 0, EVENTS);
	for (unsigned i = 0; i < 6; i++)
		cr_assert_geq(post_one(), 0);
	kit_publish(&driver);
	kit_want_signal(&driver, true);
	ring_put_begin(&ring, &layout, 3);
	for (unsigned i = 0; i < 3; i++)
		cr_assert_eq(put_one(), 0);
	cr_assert_eq(kit_signals(&driver), 0);
	kit_put_end(&ring);
	cr_assert_eq(kit_signals(&driver), 1);
	kit_put_end(&ring); // nothing put
	cr_assert_eq(ring.signals, 1);
	pop_all();
	kit_want_signal(&driver, false);
	cr_assert_eq(put_one(), 0);
	kit_put_end(&ring);
	cr_assert_eq(kit_signals(&driver), 0);
	ring_signal(&ring);
	cr_assert_eq(kit_signals(&driver), 1);
	stop();
}

// Moves the used index on, and leaves the signal to be sent.
static void move_one_of(struct ring_signals *signals)
{
	cr_assert_geq(send_one(), 0);
	kit_publish(&driver);
	cr_assert_eq(ring_take(&ring, &burst, 1), 1);
	ring_complete(&ring, signals);
}

Test(ring, signals_wait_to_be_sent_and_then_look_back_to_the_oldest)
{
	struct ring_signals signals = {0};
	start_at(64, 65534, EVENTS);
	move_one(); // the first one is always signalled
	pop_all();
	kit_signals(&driver);
	driver.avail->ring[driver.size] = driver.used_seen; // the next entry
	for (unsigned i = 0; i < 3; i++)
		move_one_of(&signals);
	cr_expect_eq(kit_signals(&driver), 0, "not before they are sent");
	cr_expect_eq(signals.count, 1);
	ring_signals_send(&signals);
	cr_expect_eq(kit_signals(&driver), 1, "the event lies three entries back");
	cr_expect_eq(signals.count, 0);
	ring_signals_send(&signals);
	cr_expect_eq(kit_signals(&driver), 0);
	stop();
}

Test(ring, signals_are_decided_by_what_the_driver_wants_when_they_are_sent)
{
	struct ring_signals signals = {0};
	start_at(64, 0, USUAL);
	kit_want_signal(&driver, true);
	move_one_of(&signals);
	kit_want_signal(&driver, false); // it polls now
	ring_signals_send(&signals);
	cr_expect_eq(kit_signals(&driver), 0);
	move_one_of(&signals);
	kit_want_signal(&driver, true); // it looked before the entry came, and sleeps
	ring_signals_send(&signals);
	cr_expect_eq(kit_signals(&driver), 1);
	stop();
}

Test(ring, signals_of_more_rings_than_fit_are_sent_at_once)
{
	struct ring_signals signals = {.count = RING_SIGNALS_MAX};
	static struct ring others[RING_SIGNALS_MAX];
	start_at(64, 0, USUAL);
	kit_want_signal(&driver, true);
	for (unsigned i = 0; i < RING_SIGNALS_MAX; i++) {
		others[i] = ring;
		signals.due[i].ring = &others[i];
	}
	move_one_of(&signals);
	cr_expect_eq(kit_signals(&driver), RING_SIGNALS_MAX, "of the others");
	cr_expect_eq(signals.count, 1);
	ring_signals_send(&signals);
	cr_expect_eq(kit_signals(&driver), 1);
	signals.count = RING_SIGNALS_MAX - 1;
	ring_signals_make_room(&signals);
	cr_expect_eq(signals.count, RING_SIGNALS_MAX - 1);
	stop();
}

Test(ring, full_eventfd_counts_as_signalled)
{
	start_at(64, 0, USUAL);
	const uint64_t most = UINT64_MAX - 1;
	cr_assert_eq(write(driver.call_fd, &most, 8), 8);
	move_one();
	cr_assert_eq(ring.signals, 1);
	cr_assert_eq(ring.fault, RING_OK);
	stop();
}

Test(ring, polling_guest_is_never_signalled)
{
	start_at(64, 0, USUAL);
	ring.call_fd = -1;
	move_one();
	ring_signal(&ring);
	cr_assert_eq(ring.signals, 0);
	stop();
}

static void nothing(int signal)
{
	(void)signal;
}

// The peer cleared O_NONBLOCK of the shared eventfd and filled it: a watchdog's signal ends the
// write, and the ring faults.
Test(ring, blocking_eventfd_faults)
{
	start_at(64, 0, USUAL);
	const uint64_t most = UINT64_MAX - 1;
	int fd = eventfd(0, 0);
	cr_assert_eq(write(fd, &most, 8), 8);
	ring.call_fd = fd;
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing}, NULL);
	const struct itimerval soon = {.it_value.tv_usec = 20000, .it_interval.tv_usec = 20000};
	setitimer(ITIMER_REAL, &soon, NULL);
	move_one();
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
	cr_assert_eq(ring.fault, RING_FAULT_CALL_BLOCKED);
	close(fd);
	stop();
}

// --- notifications from the driver ---------------------------------------------------------------

static bool next_send_notifies(void)
{
	cr_assert_geq(send_one(), 0);
	return kit_publish_notifies(&driver);
}

static void drain(void)
{
	while (ring_take(&ring, &burst, BURST_MAX))
		kit_complete(&ring);
	pop_all();
}

static void check_arming(uint64_t features)
{
	start_at(64, 65500, features);
	cr_assert_not(next_send_notifies(), "a new ring is polled");
	drain();
	for (unsigned i = 0; i < 100; i++) {
		ring_arm(&ring);
		cr_assert_not(ring_pending(&ring));
		cr_assert(next_send_notifies());
		cr_assert(ring_pending(&ring));
		ring_disarm(&ring);
		drain();
		cr_assert_not(next_send_notifies());
		cr_assert_not(next_send_notifies());
		drain();
	}
	stop();
}

Test(ring, arm_and_disarm_by_flag)
{
	check_arming(USUAL);
}

Test(ring, arm_and_disarm_by_event_index)
{
	check_arming(EVENTS);
}

// The contract of arming: what became available before the arming was seen gives no notification,
// and ring_pending, looked at after a fence, says so.
Test(ring, nothing_is_lost_between_arm_and_sleep)
{
	start_at(64, 0, EVENTS);
	drain();
	cr_assert_not(next_send_notifies());
	ring_arm(&ring);
	cr_assert(ring_pending(&ring));
	drain();
	// Armed for an entry that has passed: must be armed again before the next sleep.
	cr_assert(!next_send_notifies());
	drain();
	ring_arm(&ring);
	cr_assert(!ring_pending(&ring));
	cr_assert(next_send_notifies());
	stop();
}

// --- faults --------------------------------------------------------------------------------------

// The ring faults for that reason in the middle of a burst: what came before is taken and can be
// completed, then nothing happens any more.
static void expect_take_fault(enum ring_fault fault)
{
	struct kit_used used;
	kit_publish(&driver);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 1);
	cr_assert_eq(ring.fault, (int)fault, "%s", ring_fault_text(ring.fault));
	cr_assert_eq(burst.packets[0].len, 60);
	kit_complete(&ring);
	cr_assert(kit_pop(&driver, &used));
	cr_assert_not(kit_pop(&driver, &used));
	cr_assert_not(ring_pending(&ring), "its owner could not sleep");
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 0);
	cr_assert_eq(burst.count, 0);
	stop();
}

static void expect_put_fault(enum ring_fault fault)
{
	struct kit_used used;
	kit_publish(&driver);
	ring_put_begin(&ring, &layout, 2);
	cr_assert_eq(put_one(), 0);
	cr_assert_eq(put_one(), -EIO);
	cr_assert_eq(ring.fault, (int)fault, "%s", ring_fault_text(ring.fault));
	cr_assert_eq(put_one(), -EIO);
	kit_put_end(&ring);
	cr_assert(kit_pop(&driver, &used));
	cr_assert_eq(used.len, 12 + 60);
	cr_assert_not(kit_pop(&driver, &used));
	ring_put_begin(&ring, &layout, 2);
	cr_assert_eq(put_one(), -EIO);
	stop();
}

// One malformed descriptor chain: `change` gets the descriptor of a chain of two and the indirect
// table it may use.
static void check_both(enum ring_fault fault, unsigned size,
	void (*change)(struct vring_desc *first, struct vring_desc *second))
{
	for (unsigned to_vm = 0; to_vm < 2; to_vm++) {
		start_at((uint16_t)size, 0, MERGEABLE);
		int head = to_vm ? post_one() : send_one();
		cr_assert_geq(head, 0);
		head = to_vm ? post_one() : send_one();
		struct vring_desc *first = &driver.desc[head];
		change(first, &driver.desc[first->next]);
		if (to_vm)
			expect_put_fault(fault);
		else
			expect_take_fault(fault);
	}
}

static void loop_to_first(struct vring_desc *first, struct vring_desc *second)
{
	second->flags |= VRING_DESC_F_NEXT;
	second->next = (uint16_t)(first - driver.desc);
}

static void next_beyond(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->next = driver.size;
}

static void address_in_gap(struct vring_desc *first, struct vring_desc *second)
{
	(void)first;
	second->addr = 0x80000000;
}

static void address_in_no_region_alone(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->flags &= VRING_DESC_F_WRITE;
	first->addr = 0;
}

static void length_past_region(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->flags &= VRING_DESC_F_WRITE;
	const struct memory_region *last = &guest.mem.regions[2];
	first->addr = last->guest_addr + last->size - 100;
	first->len = 101;
}

static void length_of_4_gib(struct vring_desc *first, struct vring_desc *second)
{
	(void)first;
	second->len = UINT32_MAX;
}

static void address_wraps(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->addr = UINT64_MAX - 20;
	first->len = 0x2000;
}

static void length_zero(struct vring_desc *first, struct vring_desc *second)
{
	(void)first;
	second->len = 0;
}

static void length_zero_alone(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->flags &= VRING_DESC_F_WRITE;
	first->len = 0;
}

static void shorter_than_header(struct vring_desc *first, struct vring_desc *second)
{
	first->len = 4;
	second->len = 7;
}

static void other_direction(struct vring_desc *first, struct vring_desc *second)
{
	(void)first;
	second->flags ^= VRING_DESC_F_WRITE;
}

static void other_direction_alone(struct vring_desc *first, struct vring_desc *second)
{
	(void)second;
	first->flags = VRING_DESC_F_WRITE & ~first->flags;
}

Test(ring, fault_loop)
{
	check_both(RING_FAULT_LOOP, 64, loop_to_first);
	check_both(RING_FAULT_LOOP, 1024, loop_to_first);
	check_both(RING_FAULT_CHAIN_TOO_LONG, 2048, loop_to_first);
}

Test(ring, fault_bad_head)
{
	check_both(RING_FAULT_BAD_HEAD, 64, next_beyond);
	for (unsigned to_vm = 0; to_vm < 2; to_vm++) {
		start_at(64, 0, MERGEABLE);
		cr_assert_geq(to_vm ? post_one() : send_one(), 0);
		cr_assert_geq(to_vm ? post_one() : send_one(), 0);
		driver.avail->ring[1] = 64;
		to_vm ? expect_put_fault(RING_FAULT_BAD_HEAD)
		      : expect_take_fault(RING_FAULT_BAD_HEAD);
	}
}

Test(ring, fault_bad_address)
{
	check_both(RING_FAULT_BAD_ADDRESS, 64, address_in_gap);
	check_both(RING_FAULT_BAD_ADDRESS, 64, address_in_no_region_alone);
	check_both(RING_FAULT_BAD_ADDRESS, 64, length_past_region);
	check_both(RING_FAULT_BAD_ADDRESS, 64, length_of_4_gib);
	check_both(RING_FAULT_BAD_ADDRESS, 64, address_wraps);
}

// Guest memory at both ends of the address space does not make one piece.
Test(ring, address_does_not_wrap)
{
	start_at(64, 0, USUAL);
	cr_assert_geq(send_one(), 0);
	guest.mem.regions[1].guest_addr = 0;
	guest.mem.regions[2].guest_addr = -guest.mem.regions[2].size;
	int head = send_one();
	driver.desc[head] = (struct vring_desc){.addr = -100ULL, .len = 200};
	expect_take_fault(RING_FAULT_BAD_ADDRESS);
}

Test(ring, fault_bad_length)
{
	check_both(RING_FAULT_BAD_LENGTH, 64, length_zero);
	check_both(RING_FAULT_BAD_LENGTH, 64, length_zero_alone);
	check_both(RING_FAULT_BAD_LENGTH, 64, shorter_than_header);
}

Test(ring, fault_bad_direction)
{
	check_both(RING_FAULT_BAD_DIRECTION, 64, other_direction);
	check_both(RING_FAULT_BAD_DIRECTION, 64, other_direction_alone);
}

Test(ring, fault_index_jump)
{
	start_at(64, 65500, MERGEABLE);
	driver.avail_idx = (uint16_t)(65500 + 65);
	kit_publish(&driver);
	cr_assert(ring_pending(&ring));
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 0);
	cr_assert_eq(ring.fault, RING_FAULT_INDEX_JUMP);
	stop();

	start_at(64, 0, MERGEABLE);
	driver.avail_idx = 65535; // backwards
	kit_publish(&driver);
	cr_assert_eq(put_one(), -EIO);
	cr_assert_eq(ring.fault, RING_FAULT_INDEX_JUMP);
	stop();
}

// What was read ahead is used by the index that was known: if that could go back, entries would be
// used that are not available any more.
Test(ring, fault_index_gone_back)
{
	start_at(64, 0, MERGEABLE);
	for (unsigned i = 0; i < 8; i++)
		cr_assert_geq(post_one(), 0);
	kit_publish(&driver);
	ring_put_begin(&ring, &layout, 4);
	driver.avail_idx -= 6;
	kit_publish(&driver);
	ring_put_begin(&ring, &layout, BURST_MAX);
	cr_expect_eq(ring.fault, RING_FAULT_INDEX_JUMP);
	cr_expect_eq(put_one(), -EIO);
	stop();
}

// --- indirect tables -----------------------------------------------------------------------------

static uint64_t table_of(const struct vring_desc *descs, unsigned n)
{
	uint64_t addr = kit_alloc(&guest, 16 * n);
	kit_write(&guest, addr, descs, 16 * n);
	return addr;
}

static void check_indirect(enum ring_fault fault, uint64_t features, struct vring_desc head,
	const struct vring_desc *table, unsigned n)
{
	start_at(64, 0, features);
	cr_assert_geq(send_one(), 0);
	int at = send_one();
	struct vring_desc copy[4];
	memcpy(copy, table, n * sizeof(*table));
	for (unsigned i = 0; i < n; i++)
		copy[i].addr = copy[i].addr ? copy[i].addr : driver.desc[at].addr;
	if (!head.addr)
		head.addr = table_of(copy, n);
	head.next = driver.desc[at].next;
	driver.desc[at] = head;
	expect_take_fault(fault);
}

Test(ring, fault_bad_indirect)
{
	const uint16_t in = VRING_DESC_F_INDIRECT, next = VRING_DESC_F_NEXT;
	const struct vring_desc good[2] = {{.len = 40, .flags = next, .next = 1}, {.len = 40}};
	const enum ring_fault bad = RING_FAULT_BAD_INDIRECT;
	check_indirect(bad, USUAL, (struct vring_desc){.len = 31, .flags = in}, good, 2);
	check_indirect(bad, USUAL, (struct vring_desc){.len = 0, .flags = in}, good, 2);
	check_indirect(bad, USUAL, (struct vring_desc){.len = 0xfffffff0, .flags = in}, good, 2);
	check_indirect(bad, USUAL, (struct vring_desc){.len = 32, .flags = in | next}, good, 2);
	// Not negotiated.
	check_indirect(bad, FEATURE(VIRTIO_F_VERSION_1),
		(struct vring_desc){.len = 32, .flags = in}, good, 2);
	// The table ends before its second descriptor.
	check_indirect(bad, USUAL, (struct vring_desc){.len = 16, .flags = in}, good, 2);
	const struct vring_desc nested[2] = {good[0], {.len = 16, .flags = in}};
	check_indirect(bad, USUAL, (struct vring_desc){.len = 32, .flags = in}, nested, 2);
	check_indirect(bad, USUAL, (struct vring_desc){.len = 16, .flags = in}, &nested[1], 1);
	const struct vring_desc loop[2] = {good[0], {.len = 1, .flags = next, .next = 0}};
	check_indirect(
		RING_FAULT_LOOP, USUAL, (struct vring_desc){.len = 32, .flags = in}, loop, 2);
	check_indirect(RING_FAULT_BAD_ADDRESS, USUAL,
		(struct vring_desc){.addr = 0x90000000, .len = 32, .flags = in}, good, 2);
	check_indirect(RING_FAULT_CHAIN_TOO_LONG, USUAL,
		(struct vring_desc){.len = 16 * 2000, .flags = in}, loop, 2);
	const struct vring_desc writable[1] = {{.len = 80, .flags = VRING_DESC_F_WRITE}};
	check_indirect(RING_FAULT_BAD_DIRECTION, USUAL, (struct vring_desc){.len = 16, .flags = in},
		writable, 1);
}

// The descriptor that names a table may carry the WRITE flag: it is to be ignored.
Test(ring, write_flag_of_an_indirect_descriptor_is_ignored)
{
	start_at(64, 0, USUAL);
	int at = send_one();
	const struct vring_desc inner = {.addr = driver.desc[at].addr, .len = 30};
	driver.desc[at].addr = table_of(&inner, 1);
	driver.desc[at].len = 16;
	driver.desc[at].flags = VRING_DESC_F_INDIRECT | VRING_DESC_F_WRITE;
	kit_publish(&driver);
	cr_assert_eq(ring_take(&ring, &burst, 1), 1);
	cr_assert_eq(burst.packets[0].len, 18);
	stop();
}

Test(ring, every_fault_has_a_text)
{
	for (int i = 0; i < RING_FAULT_COUNT; i++)
		cr_assert_gt(strlen(ring_fault_text((enum ring_fault)i)), 4);
	cr_assert_str_eq(ring_fault_text(RING_FAULT_LOOP), "descriptor loop");
	cr_assert_str_eq(ring_fault_text(RING_FAULT_COUNT), "unknown fault");
}
