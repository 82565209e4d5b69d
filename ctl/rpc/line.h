// SPDX-License-Identifier: BSD-3-Clause
// Takes a byte stream apart into lines. The buffer grows with what came, never by what a peer
// announces, and each byte is looked at once, however small the pieces it comes in.
#ifndef WEIR_CTL_RPC_LINE_H
#define WEIR_CTL_RPC_LINE_H

#include <stdbool.h>
#include <stddef.h>

// Zeroed is empty. Owned by one connection; single-threaded.
struct line_buffer {
	char *data;
	size_t start;   // first byte that no line_next took
	size_t end;     // behind the last byte that came
	size_t scanned; // no line break lies between start and here
	size_t size;
};

void line_free(struct line_buffer *buffer);

// Room for at least `want` bytes; valid until the next call. NULL: no memory.
char *line_space(struct line_buffer *buffer, size_t want);
// `len` bytes were put there.
void line_filled(struct line_buffer *buffer, size_t len);

// Whether line_next would give one.
bool line_ready(struct line_buffer *buffer);
// The next whole line without its end ("\n" or "\r\n"), terminated by a NUL; it is valid until the
// next call of line_space. False: none is whole yet.
bool line_next(struct line_buffer *buffer, char **line, size_t *len);
// Bytes that were not taken yet.
size_t line_pending(const struct line_buffer *buffer);

#endif
