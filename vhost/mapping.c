// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/mapping.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vhost/bus_error.h"

struct entry {
	struct mapping mapping; // first
	struct entry *next;
	unsigned users;
	int fd; // own duplicate, to compare with
	dev_t dev;
	ino_t ino;
	_Atomic bool gone; // some of it was taken away: nobody else is to get it
};

static struct entry *entries;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// Inode numbers of memory files are 32 bits that go round, and two VMs must never share by chance:
// they only spare most of the questions. Where the kernel does not answer, nothing is shared.
static bool is_same_file(const struct entry *e, int fd, const struct stat *st)
{
	pid_t self = getpid();
	return e->dev == st->st_dev && e->ino == st->st_ino &&
	       !syscall(SYS_kcmp, self, self, KCMP_FILE, e->fd, fd);
}

static struct entry *find(int fd, size_t len)
{
	struct stat st;
	if (fstat(fd, &st))
		return NULL;
	for (struct entry *e = entries; e; e = e->next)
		if (e->mapping.len >= len && !atomic_load(&e->gone) && is_same_file(e, fd, &st))
			return e;
	return NULL;
}

static struct entry *map(int fd, size_t len)
{
	struct stat st;
	struct entry *e = calloc(1, sizeof(*e));
	if (!e || fstat(fd, &st))
		goto fail;
	e->dev = st.st_dev;
	e->ino = st.st_ino;
	e->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (e->fd < 0)
		goto fail;
	void *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		goto fail_mmap;
	// As the vhost library does: a VM's memory is not for the switch's core file.
	madvise(at, len, MADV_DONTDUMP);
	e->mapping = (struct mapping){.at = at, .len = len};
	if (bus_error_guard(at, len, &e->gone))
		goto fail_guard;
	return e;

fail_guard:
	munmap(at, len);
fail_mmap:
	close(e->fd);
fail:
	free(e);
	return NULL;
}

struct mapping *mapping_get(int fd, size_t len)
{
	pthread_mutex_lock(&lock);
	struct entry *e = find(fd, len);
	if (!e) {
		e = map(fd, len);
		if (e) {
			e->next = entries;
			entries = e;
		}
	}
	if (e)
		e->users++;
	pthread_mutex_unlock(&lock);
	return e ? &e->mapping : NULL;
}

bool mapping_is_gone(const struct mapping *m)
{
	bus_error_wait();
	return atomic_load(&((const struct entry *)m)->gone);
}

static void unmap(struct entry *e)
{
	struct entry **at = &entries;
	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
	bus_error_release(&e->gone);
	munmap(e->mapping.at, e->mapping.len);
	close(e->fd);
	free(e);
}

void mapping_put(struct mapping *m)
{
	struct entry *e = (struct entry *)m;
	if (!e)
		return;
	pthread_mutex_lock(&lock);
	if (!--e->users)
		unmap(e);
	pthread_mutex_unlock(&lock);
}
