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

bool key_word(const struct key *key, const char *text, uint64_t *index)
{
	for (uint64_t i = 0; key->words[i]; i++) {
		if (!strcmp(text, key->words[i])) {
			*index = i;
			return true;
		}
	}
	return false;
}

bool type_is_quantity(enum key_type type)
{
	return type >= TYPE_DURATION && type <= TYPE_CONNS;
}

bool type_is_text(enum key_type type)
{
	return type >= TYPE_NAME && type <= TYPE_SOCKET;
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
		return key_word(key, node->text, &value->number);
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
	case TYPE_ADDRESS:
		return address_parse(node->text, &value->address);
	case TYPE_PROTOCOL:
		return protocol_parse(node, &value->number);
	default:
		return quantity_parse(key->type, node->text, &value->number);
	}
}

bool value_parse(
	const struct key *key, const struct node *node, struct value *value, char *expected)
{
	char text[80];
	*value = (struct value){0};
	key_expect(key, expected, EXPECTED_SIZE);
	if (!has_form(key, node, value))
		return false;
	if (key->type != TYPE_INT && !type_is_quantity(key->type))
		return true;
	if (value->number < key->min || value->number > key->max) {
		if (type_is_quantity(key->type)) {
			key_range(key, text, sizeof(text));
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
