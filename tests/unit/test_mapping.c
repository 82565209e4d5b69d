// SPDX-License-Identifier: BSD-3-Clause
// Guest memory that several ports have is mapped once; what is not the same is never shared.
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/bus_error.h"
#include "vhost/mapping.h"

enum {
	PAGE = 4096,
	BYTES = 8 * PAGE,
};

static int file(size_t size)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}

static struct mapping *get(int fd, size_t len)
{
	struct mapping *m = mapping_get(fd, len);
	cr_assert_not_null(m);
	cr_assert_geq(m->len, len);
	return m;
}

// As the kernel says: a mapping is there or not.
static bool is_mapped(const uint8_t *at)
{
	unsigned char in_core;
	return !mincore((void *)(uintptr_t)at, PAGE, &in_core);
}

Test(mapping, one_file_is_mapped_once)
{
	int fd = file(BYTES), sent_again = dup(fd);
	struct mapping *one = get(fd, BYTES), *other = get(sent_again, BYTES);
	struct mapping *part = get(fd, PAGE);
	cr_assert_eq(one->at, other->at);
	cr_assert_eq(one->at, part->at);
	close(sent_again);
	close(fd);
	uint8_t *at = one->at;
	mapping_put(one);
	mapping_put(part);
	at[BYTES - 1] = 42;
	cr_assert_eq(other->at[BYTES - 1], 42);
	mapping_put(other);
	cr_assert_not(is_mapped(at));
}

Test(mapping, what_has_grown_is_mapped_beside)
{
	int fd = file(2 * BYTES);
	struct mapping *small = get(fd, BYTES), *large = get(fd, 2 * BYTES);
	cr_assert_neq(small->at, large->at);
	small->at[PAGE] = 42;
	cr_assert_eq(large->at[PAGE], 42);
	mapping_put(small);
	mapping_put(large);
	close(fd);
}

Test(mapping, files_are_not_shared_by_their_number)
{
	int fd = file(BYTES), other_fd = file(BYTES);
	char path[32];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	// Another open file description of the same inode: whoever opened it may be somebody else.
	int opened = open(path, O_RDWR | O_CLOEXEC);
	cr_assert_geq(opened, 0);
	struct mapping *one = get(fd, BYTES), *other = get(other_fd, BYTES),
		       *again = get(opened, BYTES);
	cr_assert_neq(one->at, other->at);
	cr_assert_neq(one->at, again->at);
	mapping_put(one);
	mapping_put(other);
	mapping_put(again);
	close(opened);
	close(other_fd);
	close(fd);
}

Test(mapping, what_was_taken_away_is_told_to_all_and_given_to_nobody)
{
	_Atomic bool gone[2] = {false, false};
	signal(SIGBUS, SIG_DFL);
	bus_error_install();
	int fd = file(BYTES);
	struct mapping *one = get(fd, BYTES), *other = get(fd, BYTES);
	cr_assert_eq(bus_error_guard(one->at, one->len, &gone[0]), 0);
	cr_assert_eq(bus_error_guard(other->at, other->len, &gone[1]), 0);
	one->at[PAGE] = 42;
	cr_assert_eq(ftruncate(fd, 0), 0);
	cr_assert_eq(*(volatile uint8_t *)&other->at[PAGE], 0);
	cr_assert(gone[0] && gone[1]);
	// The VMM makes it anew, and gives it again.
	cr_assert_eq(ftruncate(fd, BYTES), 0);
	struct mapping *anew = get(fd, BYTES);
	cr_assert_neq(anew->at, one->at);
	anew->at[PAGE] = 43;
	cr_assert_eq(one->at[PAGE], 0);
	bus_error_release(&gone[0]);
	bus_error_release(&gone[1]);
	mapping_put(one);
	mapping_put(other);
	mapping_put(anew);
	close(fd);
}

Test(mapping, what_cannot_be_mapped_is_none)
{
	int ends[2];
	cr_assert_eq(pipe(ends), 0);
	cr_assert_null(mapping_get(ends[0], BYTES));
	cr_assert_null(mapping_get(-1, BYTES));
	mapping_put(NULL);
	close(ends[0]);
	close(ends[1]);
}
