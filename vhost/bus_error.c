// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/bus_error.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/config.h"
#include "vhost/memory.h"

enum {
	// Each port's regions, where the library has them, where the workers have them, and that
	// for whoever shares it; and its log of dirty pages.
	PLACES = PORTS_MAX * (3 * MEMORY_REGIONS_MAX + 1)
};

struct guarded {
	_Atomic uint32_t version; // odd while the rest is written
	_Atomic uintptr_t start;
	_Atomic size_t len; // 0: the place is free
	_Atomic(_Atomic bool *) gone;
};

static struct guarded places[PLACES];
static _Atomic unsigned nplaces; // that were ever used
// Threads that read the table in the handler. What they have read of a place that is released
// meanwhile may be written to until they are through.
static _Atomic unsigned handling;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction previous;
// Of the thread that it belongs to, and of the handler on it.
static _Thread_local struct {
	volatile sig_atomic_t open, hit;
} expected;

// --- the table -----------------------------------------------------------------------------------

static void write_place(struct guarded *g, void *start, size_t len, _Atomic bool *gone)
{
	atomic_fetch_add(&g->version, 1);
	atomic_store(&g->start, (uintptr_t)start);
	atomic_store(&g->len, len);
	atomic_store(&g->gone, gone);
	atomic_fetch_add(&g->version, 1);
}

int bus_error_guard(void *start, size_t len, _Atomic bool *gone)
{
	int rc = -ENOSPC;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < PLACES; i++) {
		if (atomic_load(&places[i].len))
			continue;
		write_place(&places[i], start, len, gone);
		if (i >= atomic_load(&nplaces))
			atomic_store(&nplaces, i + 1);
		rc = 0;
		break;
	}
	pthread_mutex_unlock(&lock);
	return rc;
}

void bus_error_release(const _Atomic bool *gone)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < atomic_load(&nplaces); i++)
		if (atomic_load(&places[i].gone) == gone)
			write_place(&places[i], NULL, 0, NULL);
	pthread_mutex_unlock(&lock);
	bus_error_wait();
}

void bus_error_wait(void)
{
	while (atomic_load(&handling))
		sched_yield();
}

void bus_error_expect(void)
{
	expected.hit = 0;
	expected.open = 1;
}

bool bus_error_expect_end(void)
{
	expected.open = 0;
	bool hit = expected.hit;
	expected.hit = 0;
	return hit;
}

// --- the handler ---------------------------------------------------------------------------------

// By the system call itself: a sanitizer's mmap is not for signal handlers.
static bool cover(uintptr_t start, size_t len)
{
	long at = syscall(SYS_mmap, start, len, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0l);
	return at == (long)start;
}

// The page of `at`. Part of a huge page cannot be replaced: that is refused, and the next size
// tried.
static bool cover_page(uintptr_t at)
{
	static const uintptr_t sizes[] = {4ul << 10, 2ul << 20, 1ul << 30};
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		if (cover(at & ~(sizes[i] - 1), sizes[i]))
			return true;
	return false;
}

// A mapping that this thread uses is not released meanwhile by whom it uses it for, so that place
// does not change: one that does is another's. Where ports share one, each has a place for it and
// is told.
static bool cover_guarded(uintptr_t at)
{
	unsigned n = atomic_load(&nplaces);
	uintptr_t found = 0;
	size_t found_len = 0;
	for (unsigned i = 0; i < n; i++) {
		struct guarded *g = &places[i];
		uint32_t version = atomic_load(&g->version);
		uintptr_t start = atomic_load(&g->start);
		size_t len = atomic_load(&g->len);
		_Atomic bool *gone = atomic_load(&g->gone);
		if (version % 2 || atomic_load(&g->version) != version || at - start >= len)
			continue;
		atomic_store(gone, true);
		found = start;
		found_len = len;
	}
	return found_len && (cover(found, found_len) || cover_page(at));
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
	(void)context;
	int error = errno;
	bool raised = info->si_code <= 0; // by a process, and not by an access
	uintptr_t at = (uintptr_t)info->si_addr;
	atomic_fetch_add(&handling, 1);
	bool covered = !raised && cover_guarded(at);
	atomic_fetch_sub(&handling, 1);
	if (!covered && !raised && expected.open && cover_page(at)) {
		expected.hit = 1;
		covered = true;
	}
	if (!covered) {
		// The access is done again and meets whoever had the signal before.
		sigaction(number, &previous, NULL);
		if (raised)
			raise(number);
	}
	errno = error;
}

void bus_error_install(void)
{
	static bool installed;
	struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO};
	if (installed)
		return;
	installed = true;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &previous);
}
