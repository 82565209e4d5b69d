// SPDX-License-Identifier: BSD-3-Clause
#include "vm-images/nf/ids/wire.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"

enum {
	TAG_AT = 2 * ETHER_ADDR_LEN,
	TAG_SIZE = 4,
	// A frame of 64 KiB counts for more than it has; the kernel's own room would be full with
	// two.
	ROOM = 16 << 20
};

static int option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int set_up(int fd, unsigned index)
{
	struct packet_mreq all = {.mr_ifindex = (int)index, .mr_type = PACKET_MR_PROMISC};
	struct sockaddr_ll place = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)index};
	int error = option(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	if (!error)
		error = option(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	if (!error)
		error = option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (!error)
		error = option(fd, SOL_SOCKET, SO_RCVBUFFORCE, ROOM);
	if (!error)
		error = option(fd, SOL_SOCKET, SO_SNDBUFFORCE, ROOM);
	if (!error && setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof(all)))
		error = -errno;
	if (!error && bind(fd, (struct sockaddr *)&place, sizeof(place)))
		error = -errno;
	return error;
}

int wire_open(const char *card)
{
	unsigned index = if_nametoindex(card);
	if (!index)
		return -errno;
	// Of no protocol until it is bound to the card: it would get every card's frames.
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int error = set_up(fd, index);
	if (error) {
		close(fd);
		return error;
	}
	return fd;
}

int wire_address(int fd, uint8_t mac[6])
{
	struct sockaddr_ll place;
	socklen_t size = sizeof(place);
	if (getsockname(fd, (struct sockaddr *)&place, &size))
		return -errno;
	memcpy(mac, place.sll_addr, ETHER_ADDR_LEN);
	return 0;
}

// Puts the tag back where it was.
static void put_tag(struct wire_frame *frame, const struct tpacket_auxdata *aux)
{
	uint8_t *at = frame->data + TAG_AT;
	if (frame->length < TAG_AT)
		return;
	memmove(at + TAG_SIZE, at, frame->length - TAG_AT);
	store16(at,
		aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : ETHERTYPE_VLAN);
	store16(at + 2, aux->tp_vlan_tci);
	frame->length += TAG_SIZE;
	frame->offload.csum_start += TAG_SIZE;
	frame->offload.hdr_len += TAG_SIZE;
}

int wire_take(int fd, struct wire_frame *frame)
{
	union {
		char bytes[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
		struct cmsghdr align;
	} control;
	struct iovec parts[] = {{&frame->offload, sizeof(frame->offload)},
		{frame->data, sizeof(frame->data) - TAG_SIZE}};
	struct msghdr message = {.msg_iov = parts,
		.msg_iovlen = 2,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t got = recvmsg(fd, &message, MSG_TRUNC);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (message.msg_flags & MSG_TRUNC || (size_t)got < sizeof(frame->offload))
		return -EMSGSIZE;
	frame->length = (size_t)got - sizeof(frame->offload);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		struct tpacket_auxdata aux;
		if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
			continue;
		memcpy(&aux, CMSG_DATA(c), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			put_tag(frame, &aux);
	}
	return 1;
}

int wire_send(int fd, const struct wire_frame *frame)
{
	struct virtio_net_hdr offload = frame->offload;
	// That somebody has looked at the checksum is said of frames that come, not of those that
	// go.
	offload.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	struct iovec parts[] = {{&offload, sizeof(offload)}, {(void *)frame->data, frame->length}};
	return writev(fd, parts, 2) < 0 ? -errno : 0;
}
