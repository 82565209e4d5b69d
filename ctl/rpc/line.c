// SPDX-License-Identifier: BSD-3-Clause
#include "ctl/rpc/line.h"

#include <stdlib.h>
#include <string.h>

// A buffer that grew for one big line gives its memory back when it is empty again.
#define KEEP_SIZE (16 * 1024)

void line_free(struct line_buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct line_buffer){0};
}

static void rewind_if_empty(struct line_buffer *buffer)
{
	if (buffer->start != buffer->end)
		return;
	if (buffer->size > KEEP_SIZE)
		line_free(buffer);
	buffer->start = buffer->end = buffer->scanned = 0;
}

char *line_space(struct line_buffer *buffer, size_t want)
{
	rewind_if_empty(buffer);
	if (buffer->size - buffer->end >= want && buffer->size)
		return buffer->data + buffer->end;
	if (buffer->start) {
		memmove(buffer->data, buffer->data + buffer->start, buffer->end - buffer->start);
		buffer->scanned -= buffer->start;
		buffer->end -= buffer->start;
		buffer->start = 0;
	}
	if (buffer->size - buffer->end < want) {
		// Doubled, so that a long line is copied a bounded number of times.
		size_t size = 2 * buffer->size;
		if (size < buffer->end + want)
			size = buffer->end + want;
		char *data = realloc(buffer->data, size);
		if (!data)
			return NULL;
		buffer->data = data;
		buffer->size = size;
	}
	return buffer->data + buffer->end;
}

void line_filled(struct line_buffer *buffer, size_t len)
{
	buffer->end += len;
}

bool line_ready(struct line_buffer *buffer)
{
	if (buffer->scanned == buffer->end)
		return false;
	char *found = memchr(buffer->data + buffer->scanned, '\n', buffer->end - buffer->scanned);
	buffer->scanned = found ? (size_t)(found - buffer->data) : buffer->end;
	return found != NULL;
}

bool line_next(struct line_buffer *buffer, char **line, size_t *len)
{
	if (!line_ready(buffer))
		return false;
	size_t stop = buffer->scanned;
	*line = buffer->data + buffer->start;
	*len = stop - buffer->start;
	if (*len && (*line)[*len - 1] == '\r')
		--*len;
	(*line)[*len] = 0;
	buffer->start = buffer->scanned = stop + 1;
	return true;
}

size_t line_pending(const struct line_buffer *buffer)
{
	return buffer->end - buffer->start;
}
