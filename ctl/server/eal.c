// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/server/eal.h"

#include <errno.h>
#include <inttypes.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

#define MIB ((uint64_t)1 << 20)

static bool huge;
static char **options; // EAL keeps pointers into them and moves them about

// EAL takes long options shortened to any unambiguous beginning, so a beginning is refused, too.
static bool names_lcores(const char *arg)
{
	static const char *const longs[] = {"--lcores", "--main-lcore"};
	if (arg[0] == '-' && arg[1] && strchr("lcsS", arg[1]))
		return true;
	size_t len = strcspn(arg, "=");
	for (size_t i = 0; i < sizeof(longs) / sizeof(longs[0]); i++)
		if (len > 3 && !strncmp(arg, longs[i], len))
			return true;
	return false;
}

int eal_check(int argc, char **argv, struct error *err)
{
	for (int i = 0; i < argc; i++)
		if (names_lcores(argv[i]))
			return error_set(err, EINVAL,
				"EAL option '%s': the switch owns the lcores; name its CPUs by "
				"switch.workers",
				argv[i]);
	return 0;
}

// Whether so much memory could be had in huge pages of that size: the kernel reserves them for a
// mapping or refuses it, before a page is touched.
static bool huge_enough(uint64_t bytes, unsigned shift)
{
	uint64_t page = (uint64_t)1 << shift;
	uint64_t size = (bytes + page - 1) / page * page;
	// Never more than asked for, but for the rest of a small page.
	if (shift > 21 && size != bytes)
		return false;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (int)(shift << MAP_HUGE_SHIFT), -1, 0);
	if (at == MAP_FAILED)
		return false;
	munmap(at, size);
	return true;
}

static int choose_memory(const struct config_switch *config, struct error *err)
{
	static const unsigned shifts[] = {21, 30};
	huge = false;
	if (config->hugepages == HUGEPAGES_OFF)
		return 0;
	for (unsigned i = 0; i < 2 && !huge; i++)
		huge = huge_enough(config->memory_bytes, shifts[i]);
	if (huge || config->hugepages == HUGEPAGES_AUTO)
		return 0;
	return error_set(err, ENOMEM,
		"switch.hugepages is required, and %" PRIu64 " MiB of huge pages are not free: "
		"echo %" PRIu64 " > /proc/sys/vm/nr_hugepages",
		config->memory_bytes / MIB, (config->memory_bytes + 2 * MIB - 1) / (2 * MIB));
}

const char *eal_memory(void)
{
	return huge ? "huge pages" : "ordinary pages";
}

// The one lcore of EAL is the main thread; it may run wherever no worker does, if there is such a
// place. Writes "0@(2,3)".
static void main_lcore(const struct config_switch *config, char *text, size_t size)
{
	cpu_set_t all, rest;
	sched_getaffinity(0, sizeof(all), &all);
	rest = all;
	for (unsigned i = 0; i < config->nworkers; i++)
		if (config->workers[i] < CPU_SETSIZE)
			CPU_CLR(config->workers[i], &rest);
	if (!CPU_COUNT(&rest))
		rest = all;
	size_t n = (size_t)snprintf(text, size, "0@(");
	for (int cpu = 0; cpu < CPU_SETSIZE && n < size; cpu++)
		if (CPU_ISSET(cpu, &rest))
			n += (size_t)snprintf(text + n, size - n, "%d,", cpu);
	text[(n < size ? n : size - 1) - 1] = ')';
}

// EAL limits each NUMA node by itself; a node that is not named is not limited.
static void memory_limit(const char *memory, char *limit, size_t size)
{
	size_t n = (size_t)snprintf(limit, size, "--socket-limit=%s", memory);
	for (unsigned node = 1; node < 8 && n < size; node++)
		n += (size_t)snprintf(limit + n, size - n, ",%s", memory);
}

// Devices are probed when a port asks for them (switch/nic_device.c), and none by EAL itself, which
// would take each one it can get. For PCI that is an allow list of a device that does not exist;
// where there is no PCI bus, EAL must not look for one.
static const char *pci_option(void)
{
	return access("/sys/bus/pci/devices", F_OK) ? "--no-pci" : "--allow=ffff:ff:1f.7";
}

static int init(char **argv, int argc, struct error *err)
{
	char line[1024] = "";
	for (int i = 1; i < argc; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), " %s", argv[i]);
	log_debug(LOG_DPDK, "EAL options:%s", line);
	if (rte_eal_init(argc, argv) >= 0)
		return 0;
	int code = rte_errno ? rte_errno : EINVAL;
	return error_set(err, code, "DPDK does not start: %s; its reason is above, options were:%s",
		rte_strerror(code), line);
}

int eal_start(const struct config_switch *config, int argc, char **argv, struct error *err)
{
	static char lcores[CPU_SETSIZE * 5], memory[24], limit[256], prefix[40];
	int rc = eal_check(argc, argv, err);
	if (!rc)
		rc = choose_memory(config, err);
	if (rc)
		return rc;
	main_lcore(config, lcores, sizeof(lcores));
	snprintf(memory, sizeof(memory), "%" PRIu64, config->memory_bytes / MIB);
	snprintf(prefix, sizeof(prefix), "--file-prefix=weir-%d", getpid());
	memory_limit(memory, limit, sizeof(limit));
	// No file is shared with other processes, so none is left behind. Without huge pages EAL
	// has one mapping, made at the start; with them it would take more as it needs more.
	char *own[] = {"weir-switchd", "--lcores", lcores, "-m", memory, prefix,
		(char *)(uintptr_t)pci_option(), "--no-telemetry",
		huge ? "--in-memory" : "--no-huge", huge ? limit : "--no-shconf"};
	const int count = sizeof(own) / sizeof(own[0]);
	options = calloc((size_t)(count + argc + 1), sizeof(*options));
	if (!options || eal_log_open() < 0)
		return error_set(err, ENOMEM, "no memory for DPDK's options");
	memcpy(options, own, sizeof(own));
	if (argc)
		memcpy(options + count, argv, (size_t)argc * sizeof(*options));
	rc = init(options, count + argc, err);
	// EAL makes a runtime directory even for nothing. Gone at once, none is left by kill -9.
	if (!rc)
		rmdir(rte_eal_get_runtime_dir());
	else
		free(options);
	return rc;
}

void eal_stop(void)
{
	rte_eal_cleanup();
	free(options);
	options = NULL;
}
