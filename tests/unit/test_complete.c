// SPDX-License-Identifier: BSD-3-Clause
// Completion: what may stand at the end of a line, from grammar, schema and a switch's names.
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/client/complete.h"

struct found {
	char text[4096]; // the words, each behind a blank
};

static void on_word(void *ctx, const char *word)
{
	struct found *found = ctx;
	size_t n = strlen(found->text);
	snprintf(found->text + n, sizeof(found->text) - n, " %s", word);
}

static char asked[256]; // of the switch that names were asked of

static void fake_names(const char *socket, enum word word, complete_fn *fn, void *ctx)
{
	snprintf(asked, sizeof(asked), "%s", socket ? socket : "");
	if (word == WORD_PORT) {
		fn(ctx, "vm1");
		fn(ctx, "vm2");
		fn(ctx, "uplink");
	} else if (word == WORD_BRIDGE) {
		fn(ctx, "default");
		fn(ctx, "lab");
	} else if (word == WORD_GROUP) {
		fn(ctx, "web");
		fn(ctx, "db");
	} else if (word == WORD_CHAIN) {
		fn(ctx, "inspect");
		fn(ctx, "rest");
	} else if (word == WORD_RATE) {
		fn(ctx, "vm1");
		fn(ctx, "tenant-a");
	} else if (word == WORD_STATE) {
		fn(ctx, "up");
		fn(ctx, "waiting-for-the-vmm");
	}
}

// Words of the line are separated by one blank; behind a last blank an empty one begins.
static enum complete_kind complete(const char *line, struct found *found)
{
	char copy[512];
	const char *words[32];
	int count = 0;
	*found = (struct found){0};
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = copy; word;) {
		char *blank = strchr(word, ' ');
		if (blank)
			*blank++ = 0;
		words[count++] = word;
		word = blank;
	}
	return complete_words(count, words, NULL, fake_names, on_word, found);
}

static void expect(const char *line, const char *words)
{
	struct found found;
	cr_expect_eq(complete(line, &found), COMPLETE_WORDS);
	cr_expect_str_eq(found.text, words, "'%s':%s", line, found.text);
}

static void expect_some(const char *line, const char *some)
{
	struct found found;
	complete(line, &found);
	cr_expect(strstr(found.text, some), "'%s':%s", line, found.text);
}

Test(complete, nouns_and_verbs)
{
	expect("", " status port apply diff export save bridge fdb conn group chain rate drops log "
		   "help");
	expect("po", " port");
	expect("port ", " list show add set remove wait libvirt");
	expect("port s", " show set");
	expect("port none ", " list show add set remove wait libvirt");
	expect("none ", "");
	expect("status ", "");
	expect("help f", " fdb");
}

Test(complete, names_from_the_switch)
{
	expect("port show ", " vm1 vm2 uplink");
	expect("port show v", " vm1 vm2");
	expect("port show vm1 ", "");
	expect("port add ", "");
	expect("drops u", " uplink");
	expect("fdb list ", " default lab");
	expect("conn list --port v", " vm1 vm2");
	expect("conn list d", " default");
	expect("group show ", " web db");
	expect("chain show ", " inspect rest");
	expect("rate show ", " vm1 tenant-a");
	expect("port wait vm1 ", " up waiting-for-the-vmm");
	expect("port wait vm1 w", " waiting-for-the-vmm");
	expect("-o json port show vm", " vm1 vm2");
	expect("port -o json show vm", " vm1 vm2");
	expect("port show -- vm", " vm1 vm2");
}

Test(complete, keys_and_values)
{
	expect("port add vm3 mt", " mtu=");
	expect("port set vm1 vlan.", " vlan.access= vlan.trunk= vlan.native=");
	expect("port set vm1 vlan.trunk=[10] vlan.", " vlan.access= vlan.native=");
	expect_some("port add vm3 ", " vhost-user.socket=");
	expect("port add vm3 vhost-user.listens=",
		" vhost-user.listens=vmm vhost-user.listens=switch");
	expect("port add vm3 vhost-user.listens=s", " vhost-user.listens=switch");
	expect("port set vm1 bridge=", " bridge=default bridge=lab");
	expect("port set vm1 vlan.trunk=", " vlan.trunk=all");
	expect("port set vm1 mtu=", "");
	expect("port set vm1 none.none=", "");
	expect("port set vm1 rate.from-vm.",
		" rate.from-vm.bits= rate.from-vm.packets= rate.from-vm.burst= rate.from-vm.layer="
		" rate.from-vm.police=");
	expect("port set vm1 rate.to-vm.scheduler=f",
		" rate.to-vm.scheduler=fifo rate.to-vm.scheduler=fq-codel");
}

Test(complete, options)
{
	expect("fdb list --", " --port --vlan --socket --output --help --version");
	expect("port remove -", " --socket --help --version");
	expect("--so", " --socket");
	expect("-o ", " table json");
	expect("status --output=j", " --output=json");
	expect("fdb list --port ", " vm1 vm2 uplink");
	expect("fdb list --port=vm", " --port=vm1 --port=vm2");
	expect("fdb list --none=", "");
	expect("fdb list --vlan ", "");
	expect("apply --dry-run --", " --dry-run --socket --help --version");
	expect("conn list --protocol ", " tcp udp icmp icmpv6 sctp");
	expect("conn flush --state tcp-e", " tcp-established");
	expect("conn count --state=sctp-s", " --state=sctp-shutdown");
	expect_some("log set ", " vhost");
	expect("log set al", " all");
	expect("log set vhost ", " error warning info debug");
}

Test(complete, files)
{
	struct found found;
	static const char *const lines[] = {
		"apply ", "diff ./", "--socket ", "-s ", "status --socket=/run"};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cr_expect_eq(complete(lines[i], &found), COMPLETE_FILE, "%s", lines[i]);
		cr_expect_str_eq(found.text, "");
	}
}

Test(complete, the_socket_that_the_line_names)
{
	expect("-s /a/b port show u", " uplink");
	cr_expect_str_eq(asked, "/a/b");
	expect("port show --socket=/c u", " uplink");
	cr_expect_str_eq(asked, "/c");
	expect("port show u", " uplink");
	cr_expect_str_eq(asked, "");
}

// Lines as a shell gives them; there is no switch at that socket, so there are no names.
Test(complete, lines)
{
	static const struct {
		const char *line;
		const char *words;
	} lines[] = {
		{"", " status port apply diff export save bridge fdb conn group chain rate drops "
		     "log "
		     "help"},
		{"  po", " port"},
		{"port \tl", " list libvirt"},
		{"port 'list' ", ""},
		{"port add 'my vm' mt", " mtu="},
		{"port add \"my", ""},
		{"port show ", ""},
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct found found = {0};
		complete_line(lines[i].line, "/nonexistent/control.sock", on_word, &found);
		cr_expect_str_eq(found.text, lines[i].words, "'%s':%s", lines[i].line, found.text);
	}
}
