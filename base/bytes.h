// SPDX-License-Identifier: BSD-3-Clause
// Network byte order at any alignment. Any thread.
#ifndef WEIR_BASE_BYTES_H
#define WEIR_BASE_BYTES_H

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load16(const uint8_t *at)
{
	uint16_t word;
	memcpy(&word, at, sizeof(word));
	return ntohs(word);
}

static inline uint32_t load32(const uint8_t *at)
{
	uint32_t word;
	memcpy(&word, at, sizeof(word));
	return ntohl(word);
}

static inline void store16(uint8_t *at, uint16_t value)
{
	value = htons(value);
	memcpy(at, &value, sizeof(value));
}

static inline void store32(uint8_t *at, uint32_t value)
{
	value = htonl(value);
	memcpy(at, &value, sizeof(value));
}

#endif
