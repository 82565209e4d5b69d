// SPDX-License-Identifier: BSD-3-Clause
// The differences between Linux and Weir that are meant, each with its reason. A rule matches the
// packet that differs; a lasting one may also have matched an earlier packet of its talk, since it
// leaves the two with different states.
#include <netinet/in.h>
#include <string.h>

#include "tests/oracle/judge.h"
#include "tests/oracle/replay.h"

typedef bool matcher(const struct replayed *at);

enum {
	LINUX_BEHIND = 66000, // MAXACKWINCONST
	HEARTBEAT = 4,
	HEARTBEAT_ACK = 5,
	SHUTDOWN = 7,
	SHUTDOWN_ACK = 8,
	COOKIE_ACK = 11
};

// Of the packet that differs itself: who may be the one that passes it.
enum which {
	NOBODY = 0,
	ONLY_LINUX = 1,
	ONLY_WEIR = 2,
	EITHER = 3
};

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static bool both_open(const struct replayed *at)
{
	return at->us.syn && at->peer.syn;
}

static bool is_syn(const struct replayed *at)
{
	return at->is_tcp && (at->flags & (SYN | ACK | FIN | RST)) == SYN;
}

static bool is_syn_ack(const struct replayed *at)
{
	return at->is_tcp && (at->flags & (SYN | ACK | FIN | RST)) == (SYN | ACK);
}

static bool is_rst(const struct replayed *at)
{
	return at->is_tcp && at->flags & RST && !(at->flags & (SYN | FIN));
}

static bool rst_not_exact(const struct replayed *at)
{
	return is_rst(at) && both_open(at) && !(at->peer.acked_any && at->seq == at->peer.acked);
}

// One that ends it for one of the two: for Linux where it is not established, for Weir at the end
// of what was sent.
static bool rst_for_one(const struct replayed *at)
{
	bool established = at->us.acked_any && at->peer.acked_any && !at->us.fin && !at->peer.fin;
	return rst_not_exact(at) && (!established || at->seq == at->us.next);
}

static bool rst_before_open(const struct replayed *at)
{
	return is_rst(at) && !both_open(at);
}

static bool rst_with_wrong_ack(const struct replayed *at)
{
	return is_rst(at) && at->flags & ACK && at->ack != at->peer.next;
}

static bool syn_while_open(const struct replayed *at)
{
	return is_syn(at) && (both_open(at) || (at->us.syn && at->seq != at->us.iss));
}

static bool syn_ack_while_open(const struct replayed *at)
{
	return is_syn_ack(at) && (!at->peer.syn || at->us.syn || at->ack != at->peer.next);
}

// An ACK without SYN where both ends have sent a SYN, and neither has acknowledged the other's.
static bool ack_between_syns(const struct replayed *at)
{
	return at->is_tcp && both_open(at) && !at->us.acked_any && !at->peer.acked_any &&
	       (at->flags & (SYN | ACK | RST)) == ACK;
}

static bool rst_exact(const struct replayed *at)
{
	return is_rst(at) && both_open(at) && !rst_not_exact(at);
}

// Further behind than what Linux lets count.
static bool very_old(const struct replayed *at)
{
	const uint32_t window = at->us.widest > LINUX_BEHIND ? at->us.widest : LINUX_BEHIND;
	return at->is_tcp && both_open(at) && !(at->flags & (SYN | RST)) &&
	       (after(at->peer.next - window, at->ack) ||
		       after(at->us.next - at->peer.widest, at->end));
}

static bool syn_ack_of_nothing(const struct replayed *at)
{
	return is_syn_ack(at) && at->ack != at->peer.next;
}

static bool acks_unsent(const struct replayed *at)
{
	return at->is_tcp && (at->flags & (SYN | ACK | RST)) == ACK && at->peer.sent &&
	       after(at->ack, at->peer.next);
}

static bool has_sack(const struct replayed *at)
{
	return at->is_tcp && at->sack;
}

static bool beyond_limit(const struct replayed *at)
{
	return at->is_tcp && !(at->flags & (SYN | RST)) && at->us.limited &&
	       after(at->seq, at->us.limit);
}

static bool label_is(const struct replayed *at, const char *label)
{
	return !strcmp(at->unit->label, label);
}

static bool sctp_over(const struct replayed *at)
{
	return at->is_sctp && at->over;
}

static bool sctp_heartbeat(const struct replayed *at)
{
	return at->is_sctp && (at->chunk == HEARTBEAT || at->chunk == HEARTBEAT_ACK);
}

static bool sctp_shutdown_ack(const struct replayed *at)
{
	return at->is_sctp && at->chunk == SHUTDOWN_ACK;
}

static bool sctp_early_shutdown(const struct replayed *at)
{
	return at->is_sctp && at->chunk == SHUTDOWN && strncmp(at->unit->phase, "est", 3);
}

static bool sctp_cookie_ack(const struct replayed *at)
{
	return at->is_sctp && at->chunk == COOKIE_ACK;
}

// Fragments that do not make a packet.
static bool never_whole(const struct replayed *at)
{
	return at->unit->cover >= 0 && !at->unit->passed[BY_LINUX] && !at->unit->passed[BY_WEIR];
}

static bool unknown_icmp(const struct replayed *at)
{
	return label_is(at, "an unknown ICMP type");
}

static bool quote_cut_short(const struct replayed *at)
{
	return label_is(at, "an error with a piece of an IP header");
}

static bool reply_with_code(const struct replayed *at)
{
	return label_is(at, "an echo reply with a code");
}

static const struct rule {
	matcher *matches;
	uint8_t which;
	bool lasting;
	struct justified because;
} rules[] = {
	{rst_not_exact, ONLY_LINUX, false,
		{"RFC 5961 3.2: only a RST with exactly the expected number ends a connection; "
		 "Linux takes "
		 "others too once a FIN was seen"}},
	{rst_for_one, NOBODY, true,
		{"RFC 5961 3.2, behind such a RST: it has ended the connection for one of the two "
		 "only"}},
	{rst_before_open, EITHER, true,
		{"RFC 9293 3.10.7.3: a RST against a SYN has to acknowledge it"}},
	{rst_with_wrong_ack, ONLY_WEIR, true,
		{"RFC 9293 3.10.7.4: of a RST the sequence number alone is looked at"}},
	{syn_while_open, EITHER, true,
		{"RFC 5961 4.2: a SYN in a synchronised state is answered by its receiver, and "
		 "changes "
		 "nothing; RFC 9293 3.6.1, RFC 6191: in TIME-WAIT it begins anew if it is newer"}},
	{syn_ack_while_open, ONLY_WEIR, true,
		{"RFC 5961 4.2, RFC 9293 3.10.7.3: a SYN-ACK that answers no SYN changes nothing"}},
	{syn_ack_of_nothing, ONLY_LINUX, false,
		{"RFC 9293 3.10.7.3, 3.10.7.4: a SYN-ACK has to acknowledge the SYN"}},
	{acks_unsent, ONLY_LINUX, false,
		{"RFC 9293 3.10.7.4, RFC 5961 5: what was not sent cannot be acknowledged; Linux "
		 "counts the "
		 "number of a RST that it has let pass as sent"}},
	{has_sack, ONLY_WEIR, false,
		{"RFC 2018 3: a selective acknowledgement is advice, the cumulative one counts; "
		 "Linux drops "
		 "those of what it has let nobody send"}},
	{beyond_limit, ONLY_LINUX, false,
		{"RFC 9293 3.10.7.4: not acceptable, it begins behind what its receiver has "
		 "offered; Linux "
		 "lets it pass for as much as another window"}},
	{ack_between_syns, EITHER, true,
		{"RFC 9293 3.10.7.4: in SYN-RECEIVED an ACK of its SYN is taken, and no other; "
		 "Linux waits for "
		 "a SYN-ACK where both ends have sent a SYN"}},
	{rst_exact, NOBODY, true,
		{"RFC 9293 3.10.7.1: a connection that was reset is closed; what follows changes "
		 "nothing"}},
	{very_old, NOBODY, true,
		{"RFC 9293 3.10.7.4: what is old is answered by its receiver; how far it may lie "
		 "behind and "
		 "still count is each one's own, 66,000 bytes or a window in Linux, 128 KiB in "
		 "Weir"}},
	{sctp_over, ONLY_LINUX, false,
		{"RFC 9260 9.1, 8.4, 8.5: after its end nothing belongs to an association, its "
		 "tags are void, and an INIT begins another, which rules decide for the direction "
		 "that it goes"}},
	{sctp_heartbeat, ONLY_LINUX, false,
		{"RFC 9260 8.5: a packet has the tag of its association; Linux takes a HEARTBEAT "
		 "for one of a "
		 "further path, and takes its tag over"}},
	{sctp_shutdown_ack, ONLY_LINUX, false,
		{"RFC 9260 8.5.1 E, 8.4: a SHUTDOWN ACK that has another tag, or no association, "
		 "is not passed "
		 "on as part of one"}},
	{sctp_early_shutdown, ONLY_LINUX, false,
		{"RFC 9260 9.2: a SHUTDOWN before an association is established is discarded"}},
	{sctp_cookie_ack, ONLY_LINUX, false,
		{"RFC 9260 5.2.5: a COOKIE ACK that answers no COOKIE ECHO is discarded"}},
	{never_whole, NOBODY, true,
		{"RFC 791 3.2, RFC 8200 4.5: the receiver puts fragments together; Weir lets them "
		 "pass as they "
		 "come, and decides by the first, Linux by the whole"}},
	{unknown_icmp, ONLY_WEIR, false,
		{"a rule allows all of ICMP; what is no query is decided by it packet for packet"}},
	{quote_cut_short, ONLY_LINUX, false,
		{"RFC 4443 2.4 (c): an error quotes as much as it can; one that ends in the IP "
		 "headers does "
		 "not tell whose packet it speaks of"}},
	{reply_with_code, ONLY_WEIR, false,
		{"RFC 792: identifier and sequence number match a reply with its request"}},
};

const struct justified *justification_at(unsigned i)
{
	return i < sizeof(rules) / sizeof(rules[0]) ? &rules[i].because : NULL;
}

struct search {
	const struct unit *unit;
	const struct justified *found;
	bool past;
};

static void look(const struct replayed *at, void *to)
{
	struct search *search = to;
	bool here = at->unit == search->unit;
	uint8_t which = search->unit->passed[BY_WEIR] ? ONLY_WEIR : ONLY_LINUX;
	if (search->past || (search->found && !here))
		return;
	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if ((here ? rules[i].which & which : rules[i].lasting) && rules[i].matches(at)) {
			search->found = &rules[i].because;
			break;
		}
	search->past = here;
}

const struct justified *justification(const struct talk *t, const struct unit *u)
{
	struct search search = {.unit = u};
	replay(t, look, &search);
	return search.found;
}
