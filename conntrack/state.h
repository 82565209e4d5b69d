// SPDX-License-Identifier: BSD-3-Clause
// The states of connections of all protocols: name, time-out and what they are worth under pressure
// stand in one x-macro.
#ifndef WEIR_CONNTRACK_STATE_H
#define WEIR_CONNTRACK_STATE_H

#include <stdbool.h>
#include <stdint.h>

// When the table runs short, entries go in this order; one in use never.
enum conn_class {
	CONN_CLASS_NONE,
	// Over: all was acknowledged, or one has reset it. At worst the last acknowledgement was
	// lost, and who waits for it gives up.
	CONN_CLASS_OVER,
	CONN_CLASS_UNANSWERED, // nobody has answered, or the handshake is not complete
	// Data may be on its way, or have to be sent again: also while it is being closed (RFC 9293
	// 3.6: LAST-ACK; RFC 9260 9.2: until the SHUTDOWN-COMPLETE).
	CONN_CLASS_IN_USE,
};

// X(id, name, default time-out in seconds, class). The name is that of `weirctl conn list` and of
// the configuration key below switch.timeouts. Defaults are those of Linux's connection tracking,
// which operators know, but for tcp-established: RFC 5382 asks for 2 h 4 min at least, and Linux's
// five days fill tables with what has long gone.
#define CONN_STATES(X) \
	X(TCP_SYN_SENT, "tcp-syn-sent", 120, UNANSWERED) \
	X(TCP_SYN_RECEIVED, "tcp-syn-received", 60, UNANSWERED) \
	X(TCP_ESTABLISHED, "tcp-established", 86400, IN_USE) \
	X(TCP_FIN_WAIT, "tcp-fin-wait", 120, IN_USE) \
	X(TCP_CLOSE_WAIT, "tcp-close-wait", 3600, IN_USE) \
	X(TCP_LAST_ACK, "tcp-last-ack", 30, IN_USE) \
	X(TCP_TIME_WAIT, "tcp-time-wait", 120, OVER) \
	X(TCP_CLOSED, "tcp-closed", 10, OVER) \
	X(UDP_UNANSWERED, "udp-unanswered", 30, UNANSWERED) \
	X(UDP_ANSWERED, "udp-answered", 120, IN_USE) \
	X(ICMP_UNANSWERED, "icmp-unanswered", 30, UNANSWERED) \
	X(ICMP_ANSWERED, "icmp-answered", 30, IN_USE) \
	X(SCTP_HANDSHAKE, "sctp-handshake", 10, UNANSWERED) \
	X(SCTP_ESTABLISHED, "sctp-established", 210, IN_USE) \
	X(SCTP_SHUTDOWN, "sctp-shutdown", 10, IN_USE) \
	X(SCTP_CLOSED, "sctp-closed", 10, OVER) \
	X(OTHER_UNANSWERED, "other-unanswered", 60, UNANSWERED) \
	X(OTHER_ANSWERED, "other-answered", 600, IN_USE)

enum conn_state {
	CONN_FREE, // no connection
#define X(id, name, timeout_s, class) CONN_##id,
	CONN_STATES(X)
#undef X
	CONN_STATE_COUNT
};

// What the configuration says; immutable while workers and janitor can see it.
struct track_settings {
	uint32_t timeouts_s[CONN_STATE_COUNT];
	bool pickup; // TCP: a segment in the middle of a conversation may begin an entry
};

// Static storage; any thread. CONN_FREE is "free".
const char *conn_state_name(enum conn_state state);
enum conn_class conn_state_class(enum conn_state state);
// The defaults of the table above. Any thread.
void track_settings_default(struct track_settings *settings);

#endif
