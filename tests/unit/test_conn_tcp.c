// SPDX-License-Identifier: BSD-3-Clause
// TCP through one entry: who sends what, and what becomes of it. Each scenario runs with the client
// as the lower and as the higher end, over IPv4 and IPv6, and with sequence numbers that wrap.
#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/kit_talk.h"

enum {
	C, // the client
	S, // the server
	WAIT,
};

#define INVALID DROP_CONNECTION_INVALID
#define WINDOW  DROP_TCP_WINDOW
#define OK      DROP_NONE

// Sequence numbers count from the end's own SYN, acknowledgements from the other's.
struct line {
	int from; // C, S; WAIT: of no effect, ends a list
	const char *flags;
	uint32_t seq, ack;
	uint16_t window;
	uint32_t len;
	enum drop_reason drop;
	enum conn_state state; // behind it
	int scale;             // 0: not offered, else one more than the shift
	bool timestamps;
};

static struct talk talk;
static const uint32_t isns[][2] = {{1000, 5000}, {0xffffff00, 0xfffffff0}, {0x7fffff00, 0}};

static const char *name_of(enum drop_reason drop)
{
	if (drop == TRACK_ANEW || drop == TRACK_ANEW_ANSWERED)
		return "anew";
	return drop ? drop_name(drop) : "none";
}

static void play_one(const struct line *lines, size_t n, const uint32_t isn[2])
{
	for (size_t i = 0; i < n; i++) {
		const struct line *l = &lines[i];
		unsigned from = (unsigned)l->from;
		struct talk_tcp tcp = {.flags = l->flags,
			.seq = isn[from] + l->seq,
			.ack = strchr(l->flags, 'A') ? isn[!from] + l->ack : 0,
			.window = l->window,
			.len = l->len,
			.scale = l->scale - 1,
			.timestamps = l->timestamps};
		enum drop_reason drop = talk_tcp(&talk, from, &tcp);
		cr_assert_eq(drop, l->drop, "line %zu (%s): %s instead of %s", i, l->flags,
			name_of(drop), name_of(l->drop));
		enum conn_state state = talk_state(&talk);
		cr_assert_eq(state, l->state, "line %zu (%s): %s instead of %s", i, l->flags,
			conn_state_name(state), conn_state_name(l->state));
	}
}

static void play_with(const struct line *lines, size_t n, bool pickup)
{
	for (int high = 0; high < 2; high++)
		for (int v6 = 0; v6 < 2; v6++)
			for (size_t i = 0; i < sizeof(isns) / sizeof(isns[0]); i++) {
				talk_begin(&talk, high, v6);
				talk.settings.pickup = pickup;
				play_one(lines, n, isns[i]);
				talk_end(&talk);
			}
}

#define play(lines)        play_with(lines, sizeof(lines) / sizeof(lines[0]), false)
#define play_pickup(lines) play_with(lines, sizeof(lines) / sizeof(lines[0]), true)

#define NEW  CONN_TCP_SYN_SENT
#define HALF CONN_TCP_SYN_RECEIVED
#define EST  CONN_TCP_ESTABLISHED
#define FINW CONN_TCP_FIN_WAIT
#define CLOW CONN_TCP_CLOSE_WAIT
#define LAST CONN_TCP_LAST_ACK
#define TIMW CONN_TCP_TIME_WAIT
#define DEAD CONN_TCP_CLOSED
#define NONE CONN_FREE

#define HANDSHAKE \
	{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0}, {S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0}, \
	{ \
		C, "A", 1, 1, 1000, 0, OK, EST, 0, 0 \
	}
#define BOTH_FINS \
	{C, "FA", 1, 1, 1000, 0, OK, FINW, 0, 0}, {S, "FA", 1, 2, 1000, 0, OK, LAST, 0, 0}, \
	{ \
		C, "A", 2, 2, 1000, 0, OK, TIMW, 0, 0 \
	}

Test(conn_tcp, a_conversation_with_half_close)
{
	const struct line lines[] = {HANDSHAKE, {C, "PA", 1, 1, 1000, 100, OK, EST, 0, 0},
		{S, "A", 1, 101, 900, 0, OK, EST, 0, 0}, {C, "FA", 101, 1, 1000, 0, OK, FINW, 0, 0},
		{S, "A", 1, 102, 900, 0, OK, CLOW, 0, 0},
		{S, "A", 1, 102, 900, 500, OK, CLOW, 0, 0},
		{C, "A", 102, 501, 1000, 0, OK, CLOW, 0, 0},
		{S, "FA", 501, 102, 900, 0, OK, LAST, 0, 0},
		{S, "FA", 501, 102, 900, 0, OK, LAST, 0, 0}, // again
		{C, "A", 102, 501, 1000, 0, OK, LAST, 0, 0}, // not of the FIN
		{C, "A", 102, 502, 1000, 0, OK, TIMW, 0, 0},
		{S, "FA", 501, 102, 900, 0, OK, TIMW, 0, 0},
		{C, "A", 102, 502, 1000, 0, OK, TIMW, 0, 0}};
	play(lines);
}

Test(conn_tcp, nonsense_flags)
{
	static const char *const sets[] = {"", "F", "SF", "SR", "SFA", "SRA", "RF", "RFA", "SAU",
		"P", "U", "FP", "FPU", "FSRPAU", "RU", "FSA"};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct line first[] = {{C, sets[i], 0, 0, 1000, 0, INVALID, NONE, 0, 0}};
		play(first);
		play_pickup(first);
		const struct line later[] = {HANDSHAKE,
			{C, sets[i], 1, 1, 1000, 0, INVALID, EST, 0, 0},
			{S, sets[i], 1, 1, 1000, 0, INVALID, EST, 0, 0}};
		play(later);
	}
}

Test(conn_tcp, only_a_syn_begins)
{
	static const char *const sets[] = {"A", "FA", "SA", "R", "RA"};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct line first[] = {{C, sets[i], 1, 1, 1000, 10, INVALID, NONE, 0, 0}};
		play(first);
		const struct line early[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
			{C, sets[i], 1, 1, 1000, 0, i < 3 ? INVALID : OK, i < 3 ? NEW : DEAD, 0,
				0}};
		play(early);
	}
}

Test(conn_tcp, handshake_again_and_again)
{
	const struct line lines[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0}, {S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0},
		{C, "S", 0, 0, 1000, 0, OK, HALF, 0, 0}, {S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0},
		{S, "A", 1, 1, 1000, 0, OK, HALF, 0, 0}, {C, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
		{S, "SA", 0, 1, 1000, 0, OK, EST, 0, 0}, // the ACK was lost
		{C, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
		{C, "S", 0, 0, 1000, 0, OK, EST, 0, 0}, // came late
		{S, "SA", 0, 1, 1000, 0, OK, EST, 0, 0}, {C, "A", 1, 1, 1000, 500, OK, EST, 0, 0}};
	play(lines);
}

Test(conn_tcp, answers_must_acknowledge_the_syn)
{
	const struct line lines[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{S, "SA", 0, 2, 1000, 0, WINDOW, NEW, 0, 0},
		{S, "SA", 0, 0, 1000, 0, OK, NEW, 0, 0}, // the client answers with an RST
		{S, "RA", 0, 0, 0, 0, WINDOW, NEW, 0, 0}, {S, "R", 0, 0, 0, 0, WINDOW, NEW, 0, 0},
		{S, "RA", 0, 2, 0, 0, WINDOW, NEW, 0, 0},
		{S, "A", 77, 99, 1000, 0, OK, NEW, 0, 0}, // of an old connection
		{C, "R", 99, 0, 0, 0, OK, NEW, 0, 0},     // and its answer
		{S, "FA", 0, 1, 1000, 0, INVALID, NEW, 0, 0}, {S, "RA", 0, 1, 0, 0, OK, DEAD, 0, 0},
		{S, "RA", 0, 1, 0, 0, INVALID, DEAD, 0, 0},
		{C, "A", 1, 1, 0, 0, INVALID, DEAD, 0, 0},
		{C, "S", 70000, 0, 1000, 0, OK, NEW, 0, 0}};
	play(lines);
}

Test(conn_tcp, data_with_the_syn)
{
	const struct line all[] = {{C, "S", 0, 0, 1000, 500, OK, NEW, 0, 0},
		{S, "SA", 0, 501, 1000, 0, OK, HALF, 0, 0},
		{S, "A", 1, 501, 1000, 600, OK, HALF, 0, 0}, // as far as the SYN offered
		{S, "A", 601, 501, 1000, 400, OK, HALF, 0, 0},
		{S, "A", 1002, 501, 1000, 400, WINDOW, HALF, 0, 0},
		{C, "A", 501, 1001, 1000, 0, OK, EST, 0, 0}};
	play(all);
	const struct line none[] = {{C, "S", 0, 0, 1000, 500, OK, NEW, 0, 0},
		{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0}, {S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0},
		{C, "A", 1, 1, 1000, 500, OK, EST, 0, 0}};
	play(none);
	const struct line later[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{C, "S", 0, 0, 1000, 500, OK, NEW, 0, 0},
		{S, "SA", 0, 501, 1000, 0, OK, HALF, 0, 0},
		{C, "A", 501, 1, 1000, 10, OK, EST, 0, 0}};
	play(later);
}

Test(conn_tcp, both_open_at_once)
{
	const struct line lines[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{S, "S", 0, 0, 1000, 0, OK, HALF, 0, 0}, {S, "S", 0, 0, 1000, 0, OK, HALF, 0, 0},
		{C, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0}, {S, "SA", 0, 1, 1000, 0, OK, EST, 0, 0},
		{C, "A", 1, 1, 1000, 10, OK, EST, 0, 0}};
	play(lines);
	const struct line plain[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{S, "S", 0, 0, 1000, 0, OK, HALF, 0, 0}, {C, "A", 1, 1, 1000, 0, OK, HALF, 0, 0},
		{S, "A", 1, 1, 1000, 0, OK, EST, 0, 0}};
	play(plain);
}

Test(conn_tcp, windows)
{
	const struct line lines[] = {HANDSHAKE, {C, "A", 1, 1, 1000, 1000, OK, EST, 0, 0},
		{C, "A", 1002, 1, 1000, 10, WINDOW, EST, 0, 0}, // begins beyond the offer
		{C, "A", 1001, 1, 1000, 1, OK, EST, 0, 0},      // at its edge: a probe
		{C, "A", 1000000, 1, 1000, 0, WINDOW, EST, 0, 0},
		{S, "A", 1, 1003, 1000, 0, WINDOW, EST, 0, 0}, // acknowledges what was not sent
		{S, "A", 1, 1001, 0, 0, OK, EST, 0, 0},        // window zero
		{C, "A", 1001, 1, 1000, 1, OK, EST, 0, 0},
		{C, "A", 1003, 1, 1000, 1, WINDOW, EST, 0, 0},
		{S, "A", 1, 1001, 5000, 0, OK, EST, 0, 0}, // and open again
		{C, "A", 1001, 1, 1000, 5000, OK, EST, 0, 0},
		{C, "A", 1, 1, 1000, 1000, OK, EST, 0, 0}, // old
		{C, "A", 6000, 1, 1000, 0, OK, EST, 0, 0}, // keep-alive
		{C, "A", 6000, 1, 1000, 1, OK, EST, 0, 0},
		{S, "A", 1, 6001, 5000, 0, OK, EST, 0, 0},
		{S, "A", 1, 900, 5000, 0, OK, EST, 0, 0}, // an old acknowledgement
		{S, "A", 1, 6001 - 500000, 5000, 0, OK, EST, 0, 0},
		{S, "A", 1, 6001 - 0x7fffff00, 65535, 0, OK, EST, 0, 0}, // absurd: taken for old
		{C, "A", 6001, 1, 1000, 5000, OK, EST, 0, 0},
		{C, "A", 11002, 1, 1000, 5000, WINDOW, EST, 0, 0}}; // it has offered nothing
	play(lines);
}

Test(conn_tcp, scaled_windows)
{
	const struct line both[] = {{C, "S", 0, 0, 64000, 0, OK, NEW, 8, 0},
		{S, "SA", 0, 1, 64000, 0, OK, HALF, 15, 0}, {C, "A", 1, 1, 500, 0, OK, EST, 0, 0},
		{S, "A", 1, 1, 1000, 0, OK, EST, 0, 0}, {S, "A", 1, 1, 1000, 64000, OK, EST, 0, 0},
		{S, "A", 64001, 1, 1000, 1000, OK, EST, 0, 0}, // 500 << 7 is 64000
		{S, "A", 64002, 1, 1000, 1000, WINDOW, EST, 0, 0},
		{C, "A", 1 + (1000 << 14), 1, 500, 10, OK, EST, 0, 0},
		{C, "A", 2 + (1000 << 14), 1, 500, 10, WINDOW, EST, 0, 0}};
	play(both);
	// Only both together scale.
	const struct line one[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 8, 0},
		{S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0}, {C, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
		{S, "A", 1002, 1, 1000, 10, WINDOW, EST, 0, 0}};
	play(one);
	const struct line other[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{S, "SA", 0, 1, 1000, 0, OK, HALF, 8, 0}, {C, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
		{S, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
		{C, "A", 1002, 1, 1000, 10, WINDOW, EST, 0, 0}};
	play(other);
}

Test(conn_tcp, large_frames)
{
	const struct line lines[] = {{C, "S", 0, 0, 65535, 0, OK, NEW, 8, 0},
		{S, "SA", 0, 1, 65535, 0, OK, HALF, 8, 0}, {C, "A", 1, 1, 2000, 0, OK, EST, 0, 0},
		{S, "A", 1, 1, 2000, 0, OK, EST, 0, 0}, {C, "A", 1, 1, 2000, 65160, OK, EST, 0, 0},
		{C, "A", 65161, 1, 2000, 65160, OK, EST, 0, 0},
		{S, "A", 1, 130321, 2000, 0, OK, EST, 0, 0},
		{S, "A", 1, 130322, 2000, 0, WINDOW, EST, 0, 0}};
	play(lines);
}

Test(conn_tcp, only_the_exact_rst_counts)
{
	const struct line by_server[] = {HANDSHAKE, {S, "A", 1, 1, 1000, 100, OK, EST, 0, 0},
		{S, "R", 0, 0, 0, 0, WINDOW, EST, 0, 0},
		{S, "R", 50, 0, 0, 0, OK, EST, 0, 0}, // in the window: to be challenged
		{S, "R", 1001, 0, 0, 0, OK, EST, 0, 0}, {S, "R", 1002, 0, 0, 0, WINDOW, EST, 0, 0},
		{C, "A", 1, 1, 1000, 0, OK, EST, 0, 0}, // the challenge
		{S, "R", 1, 0, 0, 0, OK, DEAD, 0, 0},   // as it was challenged
		{S, "R", 1, 0, 0, 0, OK, DEAD, 0, 0},
		{C, "A", 1, 101, 1000, 10, OK, DEAD, 0, 0}, // the RST was lost
		{S, "R", 101, 0, 0, 0, OK, DEAD, 0, 0}};
	play(by_server);
	const struct line behind_data[] = {HANDSHAKE, {S, "A", 1, 1, 1000, 100, OK, EST, 0, 0},
		{S, "RA", 101, 1, 0, 0, OK, DEAD, 0, 0}};
	play(behind_data);
	const struct line by_client[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0},
		{S, "SA", 0, 1, 1000, 0, OK, HALF, 0, 0}, {C, "R", 1, 0, 0, 0, OK, DEAD, 0, 0}};
	play(by_client);
	const struct line closing[] = {HANDSHAKE, BOTH_FINS, {S, "R", 5, 0, 0, 0, OK, TIMW, 0, 0},
		{S, "R", 1, 0, 0, 0, WINDOW, TIMW, 0, 0}, {S, "R", 2, 0, 0, 0, OK, DEAD, 0, 0}};
	play(closing);
}

Test(conn_tcp, a_syn_in_a_connection_is_challenged)
{
	for (unsigned e = C; e <= S; e++) {
		const struct line lines[] = {HANDSHAKE,
			{(int)e, "S", 500, 0, 1000, 0, OK, EST, 0, 0},
			{(int)!e, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
			{(int)e, "A", 1, 1, 1000, 500, OK, EST, 0, 0},
			// It has lost its memory: the answer to the challenge.
			{(int)e, "S", 70000, 0, 1000, 0, OK, EST, 0, 0},
			{(int)!e, "A", 1, 1, 1000, 0, OK, EST, 0, 0},
			{(int)e, "R", 1, 0, 0, 0, OK, DEAD, 0, 0},
			{(int)e, "S", 70000, 0, 1000, 0, OK, NEW, 0, 0}};
		play(lines);
	}
}

Test(conn_tcp, a_syn_that_is_answered_begins_anew)
{
	for (unsigned e = C; e <= S; e++) {
		int a = (int)e, b = (int)!e;
		const struct line lines[] = {HANDSHAKE, {a, "S", 70000, 0, 1000, 0, OK, EST, 0, 0},
			{b, "SA", 90000, 70002, 1000, 0, OK, EST, 0, 0},
			{b, "SA", 90000, 70001, 1000, 0, OK, HALF, 0, 0},
			{a, "A", 70001, 90001, 1000, 10, OK, EST, 0, 0}};
		play(lines);
		const struct line refused[] = {HANDSHAKE,
			{a, "S", 70000, 0, 1000, 0, OK, EST, 0, 0},
			{b, "RA", 0xfff00000, 70002, 0, 0, WINDOW, EST, 0, 0},
			{b, "RA", 0xfff00000, 70001, 0, 0, OK, DEAD, 0, 0}};
		play(refused);
	}
}

// Who is denied changes nothing: the old connection ends as it would have.
static void deny_anew(const struct line *before, size_t n, const struct line *anew,
	enum drop_reason how, const struct line *then, const struct line *begun)
{
	for (int high = 0; high < 2; high++) {
		talk_begin(&talk, high, false);
		play_one(before, n, isns[0]);
		struct conn *conn = talk_conn(&talk), copy = *conn;
		struct line denied = *anew;
		denied.drop = how;
		talk.denies = true;
		play_one(&denied, 1, isns[0]);
		cr_assert_eq(memcmp(conn, &copy, sizeof(copy)), 0);
		play_one(then, 1, isns[0]);
		// And once it is allowed all counts begin with it.
		talk.denies = false;
		talk.now_s += 5;
		play_one(begun, 1, isns[0]);
		cr_assert_eq(conn->generation, 1);
		cr_assert_eq(conn->created_s, 1005u);
		cr_assert_eq(conn->packets[0] + conn->packets[1], 1u);
		cr_assert_eq(conn->bytes[0] + conn->bytes[1], 54u);
		cr_assert_eq(conn_count_of(talk.table, 1), 1u);
		talk_end(&talk);
	}
}

Test(conn_tcp, what_begins_anew_is_asked_about_before_anything_changes)
{
	const struct line over[] = {HANDSHAKE, BOTH_FINS};
	const struct line fin = {S, "FA", 1, 2, 1000, 0, OK, TIMW, 0, 0};
	const struct line syn = {S, "S", 2000, 0, 1000, 0, OK, TIMW, 0, 0};
	struct line begun = syn;
	begun.state = NEW;
	deny_anew(over, 6, &syn, TRACK_ANEW, &fin, &begun);
	const struct line open[] = {HANDSHAKE, {S, "S", 70000, 0, 1000, 0, OK, EST, 0, 0}};
	const struct line data = {C, "A", 1, 1, 1000, 10, OK, EST, 0, 0};
	const struct line answer = {C, "SA", 90000, 70001, 1000, 0, OK, EST, 0, 0};
	begun = answer;
	begun.state = HALF;
	deny_anew(open, 4, &answer, TRACK_ANEW_ANSWERED, &data, &begun);
}

Test(conn_tcp, an_answered_syn_asks_the_policy_again)
{
	const struct line first[] = {HANDSHAKE};
	const struct line then[] = {{S, "S", 70000, 0, 1000, 0, OK, EST, 0, 0},
		{C, "SA", 90000, 70001, 1000, 0, OK, HALF, 0, 0}};
	for (int high = 0; high < 2; high++) {
		talk_begin(&talk, high, false);
		play_one(first, 3, isns[0]);
		struct conn *conn = talk_conn(&talk);
		conn->epoch = 7;
		cr_assert_eq(conn_original_direction(conn), (unsigned)high);
		play_one(then, 1, isns[0]);
		cr_assert_eq(conn->epoch, 7u);
		play_one(then + 1, 1, isns[0]);
		cr_assert_eq(conn->epoch, 0u);
		cr_assert_eq(conn_original_direction(conn), (unsigned)!high);
		talk_end(&talk);
	}
}

Test(conn_tcp, reuse_in_time_wait)
{
	const struct line newer[] = {HANDSHAKE, BOTH_FINS, {C, "S", 2, 0, 1000, 0, OK, NEW, 0, 0}};
	play(newer);
	const struct line by_server[] = {
		HANDSHAKE, BOTH_FINS, {S, "S", 2000, 0, 1000, 0, OK, NEW, 0, 0}};
	play(by_server);
	const struct line stamped[] = {
		HANDSHAKE, BOTH_FINS, {C, "S", 0xfff00000, 0, 1000, 0, OK, NEW, 0, 1}};
	play(stamped);
	const struct line older[] = {HANDSHAKE, BOTH_FINS,
		{C, "S", 0xfff00000, 0, 1000, 0, OK, TIMW, 0, 0},
		{S, "A", 2, 2, 1000, 0, OK, TIMW, 0, 0},
		{C, "S", 0xfff00000, 0, 1000, 0, OK, TIMW, 0, 0},
		{S, "SA", 90000, 0xfff00001, 1000, 0, OK, HALF, 0, 0}};
	play(older);
}

Test(conn_tcp, picked_up)
{
	const struct line lines[] = {{C, "A", 1000, 2000, 10, 50, OK, HALF, 0, 0},
		{C, "A", 1050, 2000, 10, 5000, OK, HALF, 0, 0},
		{S, "A", 2000, 1000, 10, 60000, OK, EST, 0, 0}, // scaled windows are not known
		{S, "A", 62000, 6050, 10, 60000, OK, EST, 0, 0},
		{C, "A", 900000, 122000, 10, 10, OK, EST, 0, 0}, // a part went elsewhere
		{S, "A", 122000, 900010, 10, 10, OK, EST, 0, 0},
		{S, "R", 122005, 0, 0, 0, OK, EST, 0, 0},
		{S, "R", 122010, 0, 0, 0, OK, DEAD, 0, 0}};
	play_pickup(lines);
	const struct line refused[] = {{C, "FA", 1000, 2000, 10, 50, INVALID, NONE, 0, 0},
		{C, "R", 1000, 2000, 10, 50, INVALID, NONE, 0, 0},
		{C, "SA", 1000, 2000, 10, 50, INVALID, NONE, 0, 0}};
	play_pickup(refused);
	talk_begin(&talk, false, false);
	talk.settings.pickup = true;
	play_one(lines, 1, isns[0]);
	cr_assert(talk_conn(&talk)->flags & CONN_PICKED_UP);
	talk_end(&talk);
}

// It went on unseen for a while.
Test(conn_tcp, nothing_is_denied_where_no_rules_concern_it)
{
	const struct line first[] = {HANDSHAKE};
	const struct line lines[] = {{C, "A", 900000, 700000, 10, 10, OK, EST, 0, 0},
		{S, "A", 700000, 900010, 10, 10, OK, EST, 0, 0},
		{C, "R", 400, 0, 0, 0, OK, EST, 0, 0}, // believed, but nothing follows from it
		{S, "SA", 5, 99, 10, 0, OK, EST, 0, 0},
		{C, "FA", 1900010, 1700010, 10, 0, OK, FINW, 0, 0},
		{S, "FA", 1700010, 1900011, 10, 0, OK, LAST, 0, 0},
		{C, "A", 1900011, 1700011, 10, 0, OK, TIMW, 0, 0}};
	const struct line half[] = {{C, "S", 0, 0, 1000, 0, OK, NEW, 0, 0}};
	const struct line whole[] = {{C, "A", 500, 700, 10, 10, OK, HALF, 0, 0},
		{S, "A", 700, 510, 10, 10, OK, EST, 0, 0}};
	talk_begin(&talk, false, false);
	play_one(first, sizeof(first) / sizeof(first[0]), isns[0]);
	atomic_fetch_or(&talk_conn(&talk)->flags, CONN_LIBERAL);
	play_one(lines, sizeof(lines) / sizeof(lines[0]), isns[0]);
	talk_end(&talk);
	talk_begin(&talk, false, false);
	play_one(half, 1, isns[0]);
	atomic_fetch_or(&talk_conn(&talk)->flags, CONN_LIBERAL);
	play_one(whole, sizeof(whole) / sizeof(whole[0]), isns[0]);
	talk_end(&talk);
}

Test(conn_tcp, passed_segments_keep_nothing_alive)
{
	const struct line first[] = {HANDSHAKE};
	const struct line passed[] = {{S, "R", 50, 0, 0, 0, OK, EST, 0, 0},
		{C, "S", 500, 0, 1000, 0, OK, EST, 0, 0},
		{S, "A", 1, 1 - 500000, 1000, 0, OK, EST, 0, 0},
		{S, "A", 1, 2, 1000, 0, WINDOW, EST, 0, 0}};
	talk_begin(&talk, false, false);
	play_one(first, 3, isns[0]);
	struct conn *conn = talk_conn(&talk);
	cr_assert_eq(conn->seen_s, 1000u);
	cr_assert_eq(conn->packets[0] + conn->packets[1], 3u);
	talk.now_s = 2000;
	play_one(passed, 4, isns[0]);
	cr_assert_eq(conn->seen_s, 1000u);
	cr_assert_eq(conn->packets[0] + conn->packets[1], 6u, "what was passed is counted");
	cr_assert_eq(conn->flags, CONN_ANSWERED);
	talk_end(&talk);
}
