// SPDX-License-Identifier: BSD-3-Clause
#include "vhost/memory_probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int memory_probe(int fd, uint64_t size, uint64_t offset, struct error *err)
{
	struct stat st;
	if (!size)
		return error_set(err, EINVAL, "it is empty");
	if (offset >= -size)
		return error_set(err, EOVERFLOW, "its offset and size overflow");
	if (fstat(fd, &st))
		return error_set(err, errno, "%s", strerror(errno));
	// From the start of the file, in whole blocks: those of hugetlbfs are its pages.
	uint64_t block = (uint64_t)st.st_blksize;
	uint64_t bytes = (size + offset + block - 1) / block * block;
	if (bytes < size)
		return error_set(err, EOVERFLOW, "its size overflows");
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return error_set(err, errno, "%s", strerror(errno));
	munmap(at, bytes);
	return 0;
}
