// SPDX-License-Identifier: BSD-3-Clause
// From-vm: frames that were taken too early stay in the ring, and come again.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/kit_guest.h"

#define FEATURE(f) (1ULL << (f))
#define USUAL \
	(FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC) | \
		FEATURE(VIRTIO_RING_F_EVENT_IDX))

static struct kit_guest guest;
static struct kit_driver driver;
static struct ring ring;
static struct burst burst;

static void start(uint16_t size, uint16_t index)
{
	kit_guest_init_usual(&guest, 4 << 20);
	kit_driver_init(&driver, &guest, size, index, USUAL);
	struct ring_setup setup = kit_driver_setup(&driver);
	cr_assert_eq(ring_init(&ring, &setup), 0);
}

static void stop(void)
{
	cr_expect_eq(ring.fault, RING_OK, "%s", ring_fault_text(ring.fault));
	ring_fini(&ring);
	kit_driver_fini(&driver);
	kit_guest_fini(&guest);
}

// Frame number n, of so many bytes, says n; its head.
static int send_as(uint32_t n, uint32_t len, const struct kit_layout *l)
{
	static uint8_t bytes[KIT_FRAME_MAX];
	const struct virtio_net_hdr none = {0};
	memset(bytes, (int)n, len);
	memcpy(bytes, &n, sizeof(n));
	int head = kit_send(&driver, &none, bytes, len, l);
	if (head >= 0)
		kit_publish(&driver);
	return head;
}

static int send(uint32_t n)
{
	int head = send_as(n, 60, &(struct kit_layout){.n = 1, .ndirect = 1, .lens = {72}});
	cr_assert_geq(head, 0);
	return head;
}

// With frames 0 to n - 1 in it.
static void start_with(uint16_t size, uint16_t index, uint32_t n)
{
	start(size, index);
	for (uint32_t i = 0; i < n; i++)
		send(i);
}

static uint32_t number_of(unsigned i)
{
	uint32_t n;
	memcpy(&n, burst.packets[i].data, sizeof(n));
	return n;
}

static unsigned completed(void)
{
	struct kit_used used;
	unsigned n = 0;
	kit_complete(&ring);
	while (kit_pop(&driver, &used))
		n++;
	return n;
}

Test(ring_untake, the_rest_of_a_burst_comes_again)
{
	start_with(64, 0, 20);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 20);
	ring_untake(&ring, 13);
	cr_expect_eq(completed(), 7);
	cr_expect(ring_pending(&ring));
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 13);
	for (unsigned i = 0; i < 13; i++)
		cr_expect_eq(number_of(i), 7 + i);
	cr_expect_eq(completed(), 13);
	cr_expect_not(ring_pending(&ring));
	stop();
}

Test(ring_untake, a_whole_burst_again_and_again)
{
	start_with(64, 65530, 40);
	for (unsigned times = 0; times < 100; times++) {
		cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), BURST_MAX);
		cr_expect_eq(number_of(31), 31);
		ring_untake(&ring, BURST_MAX);
		cr_expect_eq(completed(), 0);
	}
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), BURST_MAX);
	cr_expect_eq(number_of(0), 0);
	cr_expect_eq(completed(), BURST_MAX);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 8);
	cr_expect_eq(completed(), 8);
	stop();
}

// What the guest writes meanwhile is what counts.
Test(ring_untake, headers_are_gathered_again)
{
	start(64, 0);
	send(1);
	int head = send(2);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 2);
	ring_untake(&ring, 1);
	const uint32_t other = 77;
	kit_write(&guest, driver.chains[head].pieces[0].addr + 12, &other, sizeof(other));
	cr_expect_eq(completed(), 1);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 1);
	cr_expect_eq(number_of(0), 77);
	cr_expect_eq(completed(), 1);
	stop();
}

// A worker that sleeps asks for a kick at the first entry that it did not take.
Test(ring_untake, the_event_index_goes_back)
{
	start_with(64, 100, 4);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 4);
	ring_untake(&ring, 3);
	cr_expect_eq(completed(), 1);
	ring_arm(&ring);
	cr_expect_eq(*(uint16_t *)&driver.used->ring[64], 101);
	cr_expect(ring_pending(&ring), "it would sleep with frames in the ring");
	ring_disarm(&ring);
	const struct kit_layout l = {.n = 1, .ndirect = 1, .lens = {72}};
	const struct virtio_net_hdr none = {0};
	cr_assert_geq(kit_send(&driver, &none, (uint8_t[60]){0}, 60, &l), 0);
	cr_expect_not(kit_publish_notifies(&driver));
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 4);
	cr_expect_eq(completed(), 4);
	ring_arm(&ring);
	cr_assert_geq(kit_send(&driver, &none, (uint8_t[60]){0}, 60, &l), 0);
	cr_expect(kit_publish_notifies(&driver));
	stop();
}

// Any layouts, any parts of bursts: each frame once, in its order.
Test(ring_untake, at_random)
{
	static struct kit_layout l;
	uint64_t random = 4711;
	uint32_t sent = 0, taken = 0, given = 0;
	start(256, 65000);
	while (taken < 100000) {
		for (unsigned n = kit_random(&random) % 40; n; n--) {
			uint32_t len = 60 + (uint32_t)(kit_random(&random) % 1000);
			kit_layout_random(&l, &random, 12 + len, 1 + kit_random(&random) % 4,
				kit_random(&random) & 1);
			if (sent - taken > 100 || send_as(sent, len, &l) < 0)
				break;
			sent++;
		}
		unsigned max = 1 + (unsigned)(kit_random(&random) % BURST_MAX);
		unsigned n = ring_take(&ring, &burst, max);
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(number_of(i), taken + i);
		unsigned back = n ? (unsigned)(kit_random(&random) % (n + 1)) : 0;
		ring_untake(&ring, back);
		cr_assert_eq(completed(), n - back);
		taken += n - back;
		given += back;
	}
	cr_expect_gt(given, 1000);
	stop();
}

// Its segments may be used up by what is taken; a short frame behind that is for the next burst.
Test(ring_untake, segments_used_up_to_the_last)
{
	static struct kit_layout l;
	enum {
		PIECES = BURST_SEGMENTS / 4
	};
	start(4096, 0);
	kit_layout_even(&l, PIECES, 1);
	for (uint32_t n = 0; n < 4; n++)
		cr_assert_geq(send_as(n, PIECES - 12, &l), 0);
	send(4);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 4);
	cr_assert_eq(burst.nsegments, BURST_SEGMENTS);
	cr_assert_eq(completed(), 4);
	cr_assert_eq(ring_take(&ring, &burst, BURST_MAX), 1);
	cr_assert_eq(number_of(0), 4);
	stop();
}

// Where a burst ended since its segments were used up, too.
Test(ring_untake, long_chains)
{
	static struct kit_layout l;
	uint32_t taken = 0;
	start(4096, 0);
	kit_layout_even(&l, 12 + 700, 1);
	for (uint32_t n = 0; n < 5; n++)
		cr_assert_geq(send_as(n, 700, &l), 0);
	while (taken < 5) {
		unsigned n = ring_take(&ring, &burst, BURST_MAX);
		cr_assert_gt(n, 0);
		for (unsigned i = 0; i < n; i++)
			cr_assert_eq(number_of(i), taken + i);
		ring_untake(&ring, n - 1);
		cr_assert_eq(completed(), 1);
		taken++;
	}
	stop();
}
