// SPDX-License-Identifier: BSD-3-Clause
// vhost-user requests, and how the vhost library hands them to its hooks.
#ifndef WEIR_VHOST_PROTOCOL_H
#define WEIR_VHOST_PROTOCOL_H

#include <linux/vhost_types.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_version.h>

#include "vhost/memory.h"

#if RTE_VERSION < RTE_VERSION_NUM(22, 11, 0, 0) || RTE_VERSION >= RTE_VERSION_NUM(22, 12, 0, 0)
#error "struct message mirrors DPDK 22.11: compare it with lib/vhost/vhost_user.h of this DPDK"
#endif

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
	REQUEST_COUNT
};

// The vhost library's struct vhu_msg_context, which its hooks get as a void pointer.
struct message {
	uint32_t request;
	uint32_t flags;
	uint32_t size;
	union {
		uint64_t u64;
		struct vhost_vring_state state;
		struct vhost_vring_addr addr; // begins with index as well
		struct {
			uint32_t nregions;
			uint32_t padding;
			struct {
				uint64_t guest_addr;
				uint64_t size;
				uint64_t user_addr;
				uint64_t mmap_offset;
			} regions[MEMORY_REGIONS_MAX];
		} memory;
		struct {
			uint64_t mmap_size;
			uint64_t mmap_offset;
		} log;
		uint8_t bytes[632];
	} payload;
	int fds[MEMORY_REGIONS_MAX];
	int nfds;
} __attribute__((packed));

_Static_assert(offsetof(struct message, payload) == 12, "VHOST_USER_HDR_SIZE");
_Static_assert(offsetof(struct message, fds) == 644, "sizeof(VhostUserMsg)");
_Static_assert(offsetof(struct message, nfds) == 676, "VHOST_MEMORY_MAX_NREGIONS fds");
_Static_assert(offsetof(struct vhost_vring_addr, index) == 0, "index_of");
_Static_assert(offsetof(struct vhost_vring_state, index) == 0, "index_of");

#endif
