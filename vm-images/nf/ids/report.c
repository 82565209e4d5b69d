// SPDX-License-Identifier: BSD-3-Clause
#include "vm-images/nf/ids/report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int address(const char *path, struct sockaddr_un *place)
{
	*place = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(place->sun_path))
		return -ENAMETOOLONG;
	strcpy(place->sun_path, path);
	return 0;
}

int report_listen(const char *path)
{
	struct sockaddr_un place;
	int error = address(path, &place);
	if (error)
		return error;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&place, sizeof(place)) || listen(fd, 8)) {
		error = -errno;
		close(fd);
		return error;
	}
	return fd;
}

static const char *const nsh_names[NSH_KINDS] = {
	[NSH_LENGTH] = "nsh-length",
	[NSH_VERSION] = "nsh-version",
	[NSH_OAM] = "nsh-oam",
	[NSH_MD_TYPE] = "nsh-md-type",
	[NSH_PROTOCOL] = "nsh-protocol",
	[NSH_INDEX] = "nsh-index",
};

void report_answer(int fd, const struct counts *counts, const struct signatures *set)
{
	// Frames wait meanwhile, so whoever does not read gets what fits the socket.
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (peer < 0)
		return;
	dprintf(peer, "left-packets %" PRIu64 "\nleft-bytes %" PRIu64 "\n", counts->passed[0],
		counts->bytes[0]);
	dprintf(peer, "right-packets %" PRIu64 "\nright-bytes %" PRIu64 "\nlost %" PRIu64 "\n",
		counts->passed[1], counts->bytes[1], counts->lost);
	dprintf(peer, "nsh-packets %" PRIu64 "\n", counts->nsh[NSH_SOUND]);
	for (unsigned kind = NSH_SOUND + 1; kind < NSH_KINDS; kind++)
		if (counts->nsh[kind])
			dprintf(peer, "dropped %" PRIu64 " %s\n", counts->nsh[kind],
				nsh_names[kind]);
	for (size_t i = 0; i < signatures_count(set); i++)
		if (counts->dropped[i])
			dprintf(peer, "dropped %" PRIu64 " line %u: %s\n", counts->dropped[i],
				signatures_line(set, i), signatures_text(set, i));
	close(peer);
}

int report_show(const char *path)
{
	struct sockaddr_un place;
	char text[4096];
	ssize_t got;
	int error = address(path, &place);
	if (error)
		return error;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&place, sizeof(place))) {
		error = -errno;
		close(fd);
		return error;
	}
	while ((got = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)got, stdout);
	close(fd);
	return fflush(stdout) ? -errno : 0;
}
