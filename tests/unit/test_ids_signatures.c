// SPDX-License-Identifier: BSD-3-Clause
// Signatures: what a file of them may say, and what is found.
#include "vm-images/nf/ids/signatures.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct signatures *set;
static char why[256];

static int read_bytes(const char *text, size_t length)
{
	char path[] = "/tmp/weir-signatures.XXXXXX";
	int fd = mkstemp(path);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, length), (ssize_t)length);
	close(fd);
	int error = signatures_read(path, &set, why, sizeof(why));
	unlink(path);
	return error;
}

static int read_text(const char *text)
{
	return read_bytes(text, strlen(text));
}

static int find(const char *data)
{
	return signatures_find(set, (const uint8_t *)data, strlen(data));
}

Test(ids_signatures, found_by_number)
{
	cr_assert_eq(read_text("# worms\n\nattack[0-9]+\r\n/GET \\/ADMIN/i\n^SSH-1\n/etc/passwd"),
		0, "%s", why);
	cr_expect_eq(signatures_count(set), 4u);
	cr_expect_eq(find("an attack, that has no number"), SIGNATURES_NONE);
	cr_expect_eq(find("an attack17 here"), 0);
	cr_expect_eq(find("get /admin HTTP/1.1"), 1);
	cr_expect_eq(find("SSH-1.5"), 2);
	cr_expect_eq(find("not SSH-1.5"), SIGNATURES_NONE);
	cr_expect_eq(find("cat /etc/passwd"), 3);
	cr_expect_eq(find("cat /ETC/passwd"), SIGNATURES_NONE);
	cr_expect_eq(find(""), SIGNATURES_NONE);
	cr_expect_eq(signatures_line(set, 0), 3u);
	cr_expect_eq(signatures_line(set, 3), 6u);
	cr_expect_str_eq(signatures_text(set, 1), "/GET \\/ADMIN/i");
	signatures_free(set);
}

Test(ids_signatures, a_dot_is_any_byte)
{
	static const uint8_t data[] = {'a', 0, '\n', 0xff, 'b'};
	cr_assert_eq(read_text("a.{3}b"), 0, "%s", why);
	cr_expect_eq(signatures_find(set, data, sizeof(data)), 0);
	cr_expect_eq(signatures_find(set, data, sizeof(data) - 1), SIGNATURES_NONE);
	signatures_free(set);
}

Test(ids_signatures, refused)
{
	char text[2 * SIGNATURE_SIZE];
	cr_expect_eq(read_text(""), -ENODATA);
	cr_expect_eq(read_text("# nothing\n"), -ENODATA);
	cr_expect_eq(read_text("good\n(bad\n"), -EINVAL);
	cr_expect_not_null(strstr(why, "line 2: "), "%s", why);
	// It would be found everywhere.
	cr_expect_eq(read_text("(many)*\n"), -EINVAL);
	cr_expect_eq(read_bytes("a\0b\n", 4), -E2BIG);
	memset(text, 'x', sizeof(text));
	cr_expect_eq(read_bytes(text, sizeof(text)), -E2BIG);
	cr_expect_not_null(strstr(why, "line 1 "), "%s", why);
	cr_expect_eq(signatures_read("/nonexistent", &set, why, sizeof(why)), -ENOENT);
	cr_expect_eq(signatures_read("/", &set, why, sizeof(why)), -EIO);
}

static char *numbered(unsigned count)
{
	char *text = malloc(count * 16 + 1), *at = text;
	for (unsigned i = 0; i < count; i++)
		at += sprintf(at, "worm-%04u\n", i);
	return text;
}

Test(ids_signatures, as_many_as_there_may_be)
{
	char *text = numbered(SIGNATURES_MAX);
	cr_assert_eq(read_text(text), 0, "%s", why);
	cr_expect_eq(find("the worm-1023"), 1023);
	signatures_free(set);
	free(text);
	text = numbered(SIGNATURES_MAX + 1);
	cr_expect_eq(read_text(text), -E2BIG);
	free(text);
}
