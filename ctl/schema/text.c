// SPDX-License-Identifier: BSD-3-Clause
// What unquoted text means to a YAML reader, and how text from outside is shown to people.
#include "ctl/schema/node.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static bool among(const char *text, const char *const *words)
{
	for (; *words; words++) {
		if (!strcmp(text, *words))
			return true;
	}
	return false;
}

// Numbers of the core schema: 12, -3, 0x1f, 0o17, 1.5, .5, 1e9, .inf, .nan.
static bool is_number(const char *text)
{
	static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
	if (!strncmp(text, "0x", 2))
		return text[2] && !text[2 + strspn(text + 2, "0123456789abcdefABCDEF")];
	if (!strncmp(text, "0o", 2))
		return text[2] && !text[2 + strspn(text + 2, "01234567")];
	if (*text == '-' || *text == '+')
		text++;
	if (among(text, words))
		return true;
	size_t digits = strspn(text, "0123456789");
	text += digits;
	if (*text == '.') {
		size_t fraction = strspn(++text, "0123456789");
		digits += fraction;
		text += fraction;
	}
	if (!digits)
		return false;
	if (*text == 'e' || *text == 'E') {
		text++;
		if (*text == '-' || *text == '+')
			text++;
		size_t exponent = strspn(text, "0123456789");
		return exponent && !text[exponent];
	}
	return !*text;
}

enum scalar_kind text_kind(const char *text)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
	static const char *const bools[] = {
		"true", "True", "TRUE", "false", "False", "FALSE", NULL};
	if (among(text, nulls))
		return SCALAR_NULL;
	if (among(text, bools))
		return SCALAR_BOOL;
	return is_number(text) ? SCALAR_NUMBER : SCALAR_STRING;
}

// YAML 1.1 readers also take these for something else: on, off, 1_000, 12:30:45, 2001-12-14.
bool text_is_ambiguous(const char *text)
{
	static const char *const words[] = {"y", "n", "yes", "no", "on", "off", NULL};
	if (text_kind(text) != SCALAR_STRING)
		return true;
	for (const char *const *word = words; *word; word++) {
		if (!strcasecmp(text, *word))
			return true;
	}
	if (!strchr("+-.0123456789", *text))
		return false;
	const char *dot = strchr(text, '.');
	bool address = dot && strchr(dot + 1, '.') && !strchr(text, ':');
	return !address && !text[strspn(text, "+-.:_0123456789eExXbB")];
}

static bool is_tail(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

// The bytes of the character at text; 1 for what is no UTF-8.
static size_t length(const uint8_t *text)
{
	if (*text >= 0xc2 && *text < 0xe0 && is_tail(text[1]))
		return 2;
	if (*text >= 0xe0 && *text < 0xf0 && is_tail(text[1]) && is_tail(text[2]))
		return 3;
	if (*text >= 0xf0 && *text < 0xf5 && is_tail(text[1]) && is_tail(text[2]) &&
		is_tail(text[3]))
		return 4;
	return 1;
}

static bool is_visible(const uint8_t *text, size_t len)
{
	if (len == 1)
		return *text >= 0x20 && *text < 0x7f;
	return *text != 0xc2 || text[1] >= 0xa0; // C1 control characters steer terminals too
}

const char *text_show(const char *text, char *buf, size_t size)
{
	static const char cut[] = "...";
	size_t used = 0;
	const uint8_t *from = (const uint8_t *)text;
	while (*from) {
		size_t len = length(from);
		if (used + len + sizeof(cut) > size && used + strlen((const char *)from) >= size) {
			memcpy(buf + used, cut, sizeof(cut));
			return buf;
		}
		if (is_visible(from, len)) {
			memcpy(buf + used, from, len);
			used += len;
		} else {
			buf[used++] = '?';
		}
		from += len;
	}
	buf[used] = '\0';
	return buf;
}
