// SPDX-License-Identifier: BSD-3-Clause
// A frame that is written to a tap device is routed before write() returns: so what has arrived at
// the other one by then is all there will be of it.
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/hostile/peer.h"
#include "tests/oracle/board.h"
#include "tests/oracle/ways.h"

static int taps[SIDES];

void taps_open(const char *const names[SIDES])
{
	for (unsigned side = 0; side < SIDES; side++) {
		struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
		strncpy(request.ifr_name, names[side], IFNAMSIZ - 1);
		taps[side] = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (taps[side] < 0 || ioctl(taps[side], TUNSETIFF, &request))
			fail("the tap device %s: %s", names[side], strerror(errno));
	}
}

static void drain(unsigned side)
{
	uint8_t frame[2048];
	ssize_t n;
	while ((n = read(taps[side], frame, sizeof(frame))) > 0)
		if (n > ETHER_LEN)
			board_arrived(BY_LINUX, side, frame + ETHER_LEN, (size_t)n - ETHER_LEN);
	if (n < 0 && errno != EAGAIN)
		fail("reading from a tap device: %s", strerror(errno));
}

void taps_send(unsigned side, const struct batch *b)
{
	uint8_t frame[ETHER_LEN + PACKET_MAX] = {0x02, 0x6f, 0x72, 0, 0, (uint8_t)(1 + side), 0x02,
		0x6f, 0x72, 1, 0, (uint8_t)(1 + side)};
	for (unsigned i = 0; i < b->count; i++) {
		const struct step *s = b->of[i].step;
		put16(frame + 12, b->of[i].talk->ipv6 ? 0x86dd : 0x0800);
		memcpy(frame + ETHER_LEN, b->of[i].talk->bytes + s->at, s->len);
		if (write(taps[side], frame, ETHER_LEN + s->len) != ETHER_LEN + s->len)
			fail("writing to a tap device: %s", strerror(errno));
		drain(!side);
	}
	drain(side);
}
