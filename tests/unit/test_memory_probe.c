// SPDX-License-Identifier: BSD-3-Clause
// What of a peer's descriptors can be mapped as guest memory.
#include <criterion/criterion.h>

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/memory_probe.h"

enum {
	PAGE = 4096
};

static int memory;

static void make_memory(void)
{
	memory = memfd_create("probe", 0);
	cr_assert(memory >= 0 && !ftruncate(memory, 4 * PAGE));
}

TestSuite(memory_probe, .init = make_memory);

Test(memory_probe, a_file_in_memory_can_be)
{
	cr_assert_eq(memory_probe(memory, 4 * PAGE, 0, NULL), 0);
	cr_assert_eq(memory_probe(memory, 3 * PAGE, PAGE, NULL), 0);
	cr_assert_eq(memory_probe(memory, 1, 5, NULL), 0);
}

Test(memory_probe, nothing_cannot_be)
{
	cr_assert_eq(memory_probe(memory, 0, 0, NULL), -EINVAL);
}

Test(memory_probe, sums_that_overflow_cannot_be)
{
	cr_assert_eq(memory_probe(memory, PAGE, UINT64_MAX - PAGE + 1, NULL), -EOVERFLOW);
	cr_assert_eq(memory_probe(memory, PAGE, UINT64_MAX - PAGE, NULL), -EOVERFLOW);
	cr_assert_eq(memory_probe(memory, UINT64_MAX, 0, NULL), -EOVERFLOW);
}

Test(memory_probe, more_than_there_are_addresses_cannot_be)
{
	struct error err = {0};
	cr_assert_eq(memory_probe(memory, 1ULL << 60, 0, &err), -ENOMEM);
	cr_assert_str_eq(err.text, "Cannot allocate memory");
}

Test(memory_probe, a_socket_and_what_is_closed_cannot_be)
{
	int ends[2];
	cr_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	cr_assert_eq(memory_probe(ends[0], PAGE, 0, NULL), -ENODEV);
	close(ends[0]);
	cr_assert_eq(memory_probe(ends[0], PAGE, 0, NULL), -EBADF);
}
