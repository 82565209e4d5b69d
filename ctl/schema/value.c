// SPDX-License-Identifier: BSD-3-Clause
// Single values: does a scalar fit its key, what does it mean, and what should have stood there.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/schema/key.h"

static const char device_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:,=/-+@%[]";
static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// The first character from `letters` and `first`, the others also from `more`.
static bool is_word(const char *text, const char *first, const char *more)
{
	size_t len = strlen(text);
	if (!len || len >= NAME_SIZE || (!strchr(letters, *text) && !strchr(first, *text)))
		return false;
	for (; *text; text++) {
		if (!strchr(letters, *text) && !strchr(more, *text))
			return false;
	}
	return true;
}

bool name_is_valid(const char *name)
{
	return is_word(name, "", "_-");
}

// ".." would lead a relative path out of RUN_DIR/vm.
static bool is_socket(const char *path)
{
	size_t len = strlen(path);
	if (!len || len >= SOCKET_PATH_SIZE || path[len - 1] == '/')
		return false;
	for (const char *c = path; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	}
	for (const char *part = path; *path != '/' && part; part = strchr(part, '/')) {
		part += *part == '/';
		if (!strncmp(part, "..", 2) && (part[2] == '/' || !part[2]))
			return false;
	}
	return true;
}

// What it may hold beyond this is for its driver to say.
static bool is_device(const char *text)
{
	size_t len = strlen(text);
	return len && len < DEVICE_SIZE && strchr(letters, *text) &&
	       strspn(text, device_letters) == len;
}

bool node_integer(const struct node *node, uint64_t *out)
{
	if (node->type != NODE_SCALAR || node->quoted)
		return false;
	size_t len = strlen(node->text);
	if (!len || len > 19 || strspn(node->text, "0123456789") != len)
		return false;
	// 010 is eight to one reader and ten to the next.
	if (node->text[0] == '0' && len > 1)
		return false;
	*out = strtoull(node->text, NULL, 10);
	return true;
}

// 0660, 0o660: the zero must be there, since a bare 660 is a decimal number.
static bool mode_parse(const char *text, uint64_t *out)
{
	if (*text++ != '0')
		return false;
	text += *text == 'o';
	size_t len = strlen(text);
	if (!len || len > 4 || strspn(text, "01234567") != len)
		return false;
	*out = strtoul(text, NULL, 8);
	return *out <= 0777;
}

static bool word_parse(const struct key *key, const char *text, uint64_t *out)
{
	for (uint64_t i = 0; key->words[i]; i++) {
		if (!strcmp(text, key->words[i])) {
			*out = i;
			return true;
		}
	}
	return false;
}

static bool is_quantity(enum key_type type)
{
	return type >= TYPE_DURATION && type <= TYPE_PACKETS;
}

static bool has_form(const struct key *key, const struct node *node, struct value *value)
{
	if (node->type != NODE_SCALAR || node_is_null(node))
		return false;
	value->text = node->text;
	switch (key->type) {
	case TYPE_INT:
		return node_integer(node, &value->number);
	case TYPE_ENUM:
		return word_parse(key, node->text, &value->number);
	case TYPE_NAME:
		return name_is_valid(node->text);
	case TYPE_USER:
		return is_word(node->text, "_", "_.-");
	case TYPE_DEVICE:
		return is_device(node->text);
	case TYPE_SOCKET:
		return is_socket(node->text);
	case TYPE_MODE:
		return mode_parse(node->text, &value->number);
	case TYPE_MAC:
		return mac_parse(node->text, &value->number);
	default:
		return quantity_parse(key->type, node->text, &value->number);
	}
}

static void range_print(const struct key *key, char *buf, size_t size)
{
	char min[32];
	char max[32];
	if (is_quantity(key->type)) {
		quantity_print(key->type, key->min, min, sizeof(min));
		quantity_print(key->type, key->max, max, sizeof(max));
		snprintf(buf, size, "from %s to %s", min, max);
		return;
	}
	snprintf(buf, size, "from %" PRIu64 " to %" PRIu64, key->min, key->max);
}

static void words_print(
	const struct key *key, const char *comma, const char *last, char *buf, size_t size)
{
	size_t used = 0;
	for (size_t i = 0; key->words[i] && used < size; i++) {
		const char *sep = !i ? "" : key->words[i + 1] ? comma : last;
		used += snprintf(buf + used, size - used, "%s%s", sep, key->words[i]);
	}
}

static void form_print(const struct key *key, char *buf, size_t size)
{
	char range[80];
	switch (key->type) {
	case TYPE_INT:
		range_print(key, range, sizeof(range));
		snprintf(buf, size, "an integer %s", range);
		return;
	case TYPE_ENUM:
		words_print(key, ", ", " or ", buf, size);
		return;
	case TYPE_NAME:
		snprintf(buf, size, "a name of at most %d letters, digits, _ and -", NAME_SIZE - 1);
		return;
	case TYPE_USER:
		snprintf(buf, size, "the name of a user or group");
		return;
	case TYPE_DEVICE:
		snprintf(buf, size,
			"a device of DPDK such as 0000:03:00.0 or net_tap0,iface=weir0, at most "
			"%d bytes",
			DEVICE_SIZE - 1);
		return;
	case TYPE_DEVICES:
		snprintf(buf, size, "a list of 1 to %u devices of DPDK", key->count);
		return;
	case TYPE_SOCKET:
		snprintf(buf, size,
			"the path of a socket, absolute or below RUN_DIR/vm, at most %d bytes",
			SOCKET_PATH_SIZE - 1);
		return;
	case TYPE_MODE:
		snprintf(buf, size, "permission bits in octal such as 0660");
		return;
	case TYPE_MAC:
		snprintf(buf, size, "a MAC address of one device such as 52:54:00:00:00:01");
		return;
	case TYPE_PREFIXES:
		prefixes_describe(key, buf, size);
		return;
	case TYPE_INTS:
		range_print(key, range, sizeof(range));
		snprintf(buf, size, "%s%sa list of 1 to %u integers %s",
			key->words ? key->words[0] : "", key->words ? " or " : "", key->count,
			range);
		return;
	default:
		snprintf(buf, size, "a %s such as %s", quantity_noun(key->type),
			key->fallback ? key->fallback : quantity_example(key->type));
	}
}

bool value_parse(
	const struct key *key, const struct node *node, struct value *value, char *expected)
{
	char text[80];
	*value = (struct value){0};
	form_print(key, expected, EXPECTED_SIZE);
	if (!has_form(key, node, value))
		return false;
	if (key->type != TYPE_INT && !is_quantity(key->type))
		return true;
	if (value->number < key->min || value->number > key->max) {
		if (is_quantity(key->type)) {
			range_print(key, text, sizeof(text));
			snprintf(
				expected, EXPECTED_SIZE, "a %s %s", quantity_noun(key->type), text);
		}
		return false;
	}
	if (key->unit && value->number % key->unit) {
		quantity_print(key->type, key->unit, text, sizeof(text));
		snprintf(expected, EXPECTED_SIZE, "a %s that is a multiple of %s",
			quantity_noun(key->type), text);
		return false;
	}
	return true;
}

bool ints_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	uint64_t seen[4096 / 64] = {0};
	char range[80];
	*culprit = node;
	form_print(key, expected, EXPECTED_SIZE);
	if (node->type == NODE_SCALAR)
		return key->words && !strcmp(node->text, key->words[0]);
	if (node->type != NODE_LIST || !node->count || node->count > key->count)
		return false;
	for (size_t i = 0; i < node->count; i++) {
		uint64_t number;
		*culprit = node->items[i];
		if (!node_integer(*culprit, &number) || number < key->min || number > key->max) {
			range_print(key, range, sizeof(range));
			snprintf(expected, EXPECTED_SIZE, "integers %s", range);
			return false;
		}
		if (seen[number / 64] >> number % 64 & 1) {
			snprintf(expected, EXPECTED_SIZE, "each number once");
			return false;
		}
		seen[number / 64] |= 1ull << number % 64;
	}
	return true;
}

bool devices_parse(
	const struct key *key, const struct node *node, const struct node **culprit, char *expected)
{
	*culprit = node;
	form_print(key, expected, EXPECTED_SIZE);
	if (node->type != NODE_LIST || !node->count || node->count > key->count)
		return false;
	const struct key one = {.type = TYPE_DEVICE};
	for (size_t i = 0; i < node->count; i++) {
		struct value value;
		*culprit = node->items[i];
		if (!value_parse(&one, *culprit, &value, expected))
			return false;
	}
	return true;
}

bool value_equal(const struct key *key, const struct node *a, const struct node *b)
{
	char expected[EXPECTED_SIZE];
	struct value x;
	struct value y;
	if (node_equal(a, b))
		return true;
	if (key->type == TYPE_LATER || key->type >= TYPE_INTS)
		return false;
	if (!value_parse(key, a, &x, expected) || !value_parse(key, b, &y, expected))
		return false;
	bool text = key->type >= TYPE_NAME && key->type <= TYPE_SOCKET;
	return text ? !strcmp(x.text, y.text) : x.number == y.number;
}

void key_describe(const struct key *key, char *buf, size_t size)
{
	char range[80];
	range_print(key, range, sizeof(range));
	if (key->type == TYPE_ENUM)
		words_print(key, " | ", " | ", buf, size);
	else if (key->type == TYPE_LATER)
		snprintf(buf, size, "not supported yet");
	else if (key->type == TYPE_MAP)
		snprintf(buf, size, "map");
	else if (key->type == TYPE_NAMED)
		snprintf(buf, size, "map of at most %u names", key->count);
	else if (is_quantity(key->type))
		snprintf(buf, size, "%s %s", quantity_noun(key->type), range);
	else
		form_print(key, buf, size);
}
