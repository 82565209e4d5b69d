// SPDX-License-Identifier: BSD-3-Clause
// Memory that is taken away: its owner is told, and nobody else notices.
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vhost/bus_error.h"

enum {
	PAGE = 4096,
	PAGES = 8,
	BYTES = PAGE * PAGES,
};

struct shared {
	int fd;
	volatile uint8_t *at;
	size_t size;
	_Atomic bool gone;
};

static void share(struct shared *s, unsigned flags, size_t size)
{
	*s = (struct shared){.fd = memfd_create("test", MFD_CLOEXEC | flags), .size = size};
	cr_assert_geq(s->fd, 0);
	cr_assert_eq(ftruncate(s->fd, (off_t)size), 0);
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (at == MAP_FAILED) {
		close(s->fd);
		cr_assert_fail(
			"no memory of %zu bytes, flags %#x: %s", size, flags, strerror(errno));
	}
	s->at = at;
}

static void unshare_all(struct shared *s)
{
	bus_error_release(&s->gone);
	munmap((void *)(uintptr_t)s->at, s->size);
	close(s->fd);
}

// What the signal's owner was before: a sanitizer would report, and not end by the signal.
static void install(void)
{
	signal(SIGBUS, SIG_DFL);
	bus_error_install();
}

static void take_away(const struct shared *s, size_t left)
{
	cr_assert_eq(ftruncate(s->fd, (off_t)left), 0);
}

Test(bus_error, a_guarded_mapping_reads_as_zero)
{
	struct shared one, other;
	install();
	share(&one, 0, BYTES);
	share(&other, 0, BYTES);
	cr_assert_eq(bus_error_guard((void *)(uintptr_t)one.at, BYTES, &one.gone), 0);
	cr_assert_eq(bus_error_guard((void *)(uintptr_t)other.at, BYTES, &other.gone), 0);
	one.at[3 * PAGE] = other.at[3 * PAGE] = 42;
	take_away(&one, PAGE);
	cr_assert_not(one.gone);
	cr_assert_eq(one.at[3 * PAGE + 1], 0);
	cr_assert(one.gone);
	cr_assert_eq(one.at[3 * PAGE], 0);
	one.at[BYTES - 1] = 7;
	cr_assert_eq(one.at[BYTES - 1], 7);
	cr_assert_not(other.gone);
	cr_assert_eq(other.at[3 * PAGE], 42);
	unshare_all(&one);
	unshare_all(&other);
}

Test(bus_error, a_copy_goes_on)
{
	static uint8_t to[BYTES];
	struct shared s;
	install();
	share(&s, 0, BYTES);
	cr_assert_eq(bus_error_guard((void *)(uintptr_t)s.at, BYTES, &s.gone), 0);
	memset((void *)(uintptr_t)s.at, 0x55, BYTES);
	take_away(&s, 4 * PAGE);
	memcpy(to, (const void *)(uintptr_t)s.at, BYTES);
	cr_assert(s.gone);
	cr_assert_eq(to[0], 0x55);
	cr_assert_eq(to[4 * PAGE - 1], 0x55);
	cr_assert_eq(to[4 * PAGE], 0);
	cr_assert_eq(to[BYTES - 1], 0);
	unshare_all(&s);
}

// The machine's reserve of huge pages, so many more than before; what was there comes back at the
// end.
static void reserve(long more)
{
	static const char path[] = "/proc/sys/vm/nr_hugepages";
	FILE *file = fopen(path, "r+");
	long before = -1;
	cr_assert(file, "%s: %s", path, strerror(errno));
	cr_assert_eq(fscanf(file, "%ld", &before), 1);
	rewind(file);
	fprintf(file, "%ld\n", before + more);
	cr_assert_eq(fclose(file), 0, "%s: %s", path, strerror(errno));
}

enum {
	HUGE_PAGES = 2
};

static void reserve_huge_pages(void)
{
	reserve(HUGE_PAGES);
}

static void give_huge_pages_back(void)
{
	reserve(-HUGE_PAGES);
}

Test(bus_error, huge_pages, .init = reserve_huge_pages, .fini = give_huge_pages_back)
{
	enum {
		HUGE = 2 << 20
	};
	struct shared s;
	install();
	share(&s, MFD_HUGETLB, HUGE);
	cr_assert_eq(bus_error_guard((void *)(uintptr_t)s.at, HUGE, &s.gone), 0);
	take_away(&s, 0);
	cr_assert_eq(s.at[5 * PAGE], 0);
	cr_assert(s.gone);
	unshare_all(&s);

	share(&s, MFD_HUGETLB, HUGE);
	take_away(&s, 0);
	bus_error_expect();
	cr_assert_eq(s.at[5 * PAGE], 0);
	cr_assert(bus_error_expect_end());
	unshare_all(&s);
}

// Memory that the library has mapped and not told of yet.
Test(bus_error, expected)
{
	struct shared s;
	install();
	share(&s, 0, BYTES);
	bus_error_expect();
	cr_assert_eq(s.at[PAGE], 0);
	cr_assert_not(bus_error_expect_end());
	take_away(&s, 2 * PAGE);
	bus_error_expect();
	cr_assert_eq(s.at[3 * PAGE], 0);
	cr_assert_eq(s.at[5 * PAGE], 0);
	cr_assert(bus_error_expect_end());
	cr_assert_not(bus_error_expect_end());
	unshare_all(&s);
}

Test(bus_error, of_nobody, .signal = SIGBUS)
{
	struct shared s;
	install();
	share(&s, 0, BYTES);
	take_away(&s, 0);
	s.at[0] = 1;
}

Test(bus_error, after_the_release, .signal = SIGBUS)
{
	struct shared s;
	install();
	share(&s, 0, BYTES);
	cr_assert_eq(bus_error_guard((void *)(uintptr_t)s.at, BYTES, &s.gone), 0);
	bus_error_release(&s.gone);
	take_away(&s, 0);
	s.at[0] = 1;
}

Test(bus_error, sent_by_a_process, .signal = SIGBUS)
{
	install();
	raise(SIGBUS);
}

// Others come and go in the table while a mapping vanishes.
static _Atomic bool enough;

static void *come_and_go(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough)) {
		struct shared s[4];
		for (unsigned i = 0; i < 4; i++) {
			share(&s[i], 0, BYTES);
			bus_error_guard((void *)(uintptr_t)s[i].at, BYTES, &s[i].gone);
		}
		for (unsigned i = 0; i < 4; i++) {
			cr_assert_not(s[i].gone);
			unshare_all(&s[i]);
		}
	}
	return NULL;
}

Test(bus_error, beside_others)
{
	pthread_t thread;
	install();
	cr_assert_eq(pthread_create(&thread, NULL, come_and_go, NULL), 0);
	for (unsigned round = 0; round < 2000; round++) {
		struct shared s;
		share(&s, 0, BYTES);
		cr_assert_eq(bus_error_guard((void *)(uintptr_t)s.at, BYTES, &s.gone), 0);
		take_away(&s, PAGE);
		cr_assert_eq(s.at[2 * PAGE], 0);
		cr_assert(s.gone);
		unshare_all(&s);
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
}
