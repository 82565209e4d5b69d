// SPDX-License-Identifier: BSD-3-Clause
// The vhost-user protocol from the VMM's side (QEMU, docs/interop/vhost-user.rst): a connection and
// whole messages. What it sends is never cut short: a header whose payload does not follow stops
// the vhost library's one thread, which is known and not looked for here.
#ifndef WEIR_TESTS_HOSTILE_PEER_H
#define WEIR_TESTS_HOSTILE_PEER_H

#include <stdbool.h>
#include <stdint.h>

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	RESET_OWNER = 4,
	SET_MEM_TABLE = 5,
	SET_LOG_BASE = 6,
	SET_LOG_FD = 7,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	SET_VRING_ERR = 14,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SEND_RARP = 19,
	NET_SET_MTU = 20,
	SET_BACKEND_REQ_FD = 21,
	IOTLB_MSG = 22,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
	CREATE_CRYPTO_SESSION = 26,
	CLOSE_CRYPTO_SESSION = 27,
	POSTCOPY_ADVISE = 28,
	POSTCOPY_LISTEN = 29,
	POSTCOPY_END = 30,
	GET_INFLIGHT_FD = 31,
	SET_INFLIGHT_FD = 32,
	SET_STATUS = 39,
	GET_STATUS = 40,
	REQUEST_END
};

enum {
	FLAG_VERSION = 1,
	FLAG_REPLY = 1 << 2,
	FLAG_NEED_REPLY = 1 << 3,
	PAYLOAD_MAX = 632, // of the vhost library; a message that claims more it reads no further
	FDS_MAX = 16,      // more than the library's 8
	REGIONS_MAX = 9    // one more than the library's
};

struct region {
	uint64_t guest_addr;
	uint64_t size;
	uint64_t user_addr;
	uint64_t offset;
};

struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t u64;
		struct {
			uint32_t index, num;
		} state;
		struct {
			uint32_t index, flags;
			uint64_t desc, used, avail, log;
		} addr;
		struct {
			uint32_t nregions, padding;
			struct region regions[REGIONS_MAX];
		} memory;
		struct {
			uint64_t size, offset;
		} log;
		struct {
			uint64_t size, offset;
			uint16_t queues, queue_size;
		} inflight;
		uint8_t bytes[PAYLOAD_MAX];
	};
	int nfds;
	int fds[FDS_MAX]; // the sender's; they stay open
};

struct peer {
	const char *path;
	bool connects;
	int listener; // -1 where the switch listens
	int fd;       // -1: not connected
	uint64_t connections;
};

// Prints what was being done and ends the program with status 1.
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);
// What `fail` says was being done. The text stays the caller's.
void doing(const char *name, uint64_t number);

// Connects or accepts; the listener stays.
void peer_open(struct peer *peer);
void peer_hang_up(struct peer *peer);
void peer_close(struct peer *peer);

// False: the switch has closed the connection, which is then hung up here too.
bool peer_send(struct peer *peer, const struct message *m);
bool peer_receive(struct peer *peer, struct message *m);

// A sound request without descriptors; the reply's first word. Fails where there is none.
uint64_t peer_ask(struct peer *peer, uint32_t request, uint64_t u64);
// A sound message whose success the switch has to confirm.
void peer_tell(struct peer *peer, struct message *m);

#endif
