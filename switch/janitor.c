// SPDX-License-Identifier: BSD-3-Clause
// Life cycle: starts before the first worker, ends after the last.
// Synchronisation: two threads. One keeps the clock and looks after the workers; it waits for
// nobody, for a worker that hangs in a write hangs until it is got out. The other reclaims, and
// waits for grace periods, so for such workers too. It is an RCU reader, online only while it
// works, so a grace period never waits for its sleep. It finds bridges through the snapshot, as
// workers do. Ageing holds a MAC table's lock for one entry at a time.
#include "switch/janitor.h"

#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"

enum {
	TICKS_PER_S = 4,
	TICK_NS = 1000000000 / TICKS_PER_S,
	SLICE = 4096, // connections looked at in one go
	// In each tick, or a quarter of a larger table: some milliseconds of the janitor's time at
	// most, and what is over is found the sooner.
	LOOKED_AT = 1 << 18,
	// Where free connections are few it looks again and again, for half a tick.
	SHORT_PAUSE_US = 2000,
	SHORT_ROUNDS = 64,
};

static uint32_t seconds(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint32_t)ts.tv_sec;
}

// Each bridge once: where its first port stands.
static void age_bridges(const struct snapshot *s, uint32_t now_s)
{
	for (unsigned id = 0; id < PORT_IDS; id++) {
		const struct port_view *v = s->views[id];
		if (!v || v->peers[0] != id)
			continue;
		uint32_t age_s = atomic_load_explicit(&v->bridge->ageing_s, memory_order_relaxed);
		if (age_s)
			mac_age(v->bridge->macs, now_s, age_s);
	}
}

// Nothing: a ring of the port has been stalled for a second.
static enum port_taking look_at(const struct port_view *v)
{
	uint32_t pairs = vhost_port_pairs(v->vhost);
	enum port_taking taking = PORT_NOT_SEEN;
	for (unsigned pair = 0; pair < QUEUE_PAIRS_MAX; pair++) {
		const struct ring *ring = pairs >> pair & 1 ? vhost_port_to_vm(v->vhost, pair)
							    : NULL;
		struct ring_progress now;
		if (!ring)
			continue;
		ring_progress(ring, &now);
		if (stall_look(&v->port->stalls[pair], &now))
			taking = PORT_TAKES_NOTHING;
		else if (taking == PORT_NOT_SEEN)
			taking = PORT_TAKES;
	}
	return taking;
}

// Network functions that take no packets.
static void look_for_stalls(const struct snapshot *s)
{
	for (unsigned id = 0; id < PORT_IDS && s->all_chains; id++) {
		const struct port_view *v = s->views[id];
		if (v && v->places && v->vhost)
			atomic_store_explicit(
				&v->port->taking, (uint8_t)look_at(v), memory_order_relaxed);
	}
}

static uint32_t in_a_tick(uint32_t capacity)
{
	if (capacity <= LOOKED_AT)
		return capacity;
	return capacity <= TICKS_PER_S * LOOKED_AT ? LOOKED_AT : capacity / TICKS_PER_S + 1;
}

// Looks at a part of the connections, slice by slice, with a grace period behind each that removed
// some: offline meanwhile, for it would wait for itself.
static void reclaim(struct janitor *j, uint32_t now_s)
{
	struct conn_stats stats = {.capacity = 1};
	for (uint32_t done = 0; done < in_a_tick(stats.capacity); done += SLICE) {
		rcu_thread_online();
		const struct snapshot *s = rcu_dereference(*j->snapshot);
		struct conn_table *table = s->conns;
		if (table)
			conn_reclaim(table, &s->track, now_s, SLICE);
		rcu_thread_offline();
		if (!table)
			return;
		conn_table_stats(table, &stats);
		// What the control plane has removed waits for it, too.
		uint64_t mark = conn_reclaim_mark(table);
		if (mark == j->reclaimed)
			continue;
		synchronize_rcu();
		conn_reclaimed(table, mark);
		j->reclaimed = mark;
	}
}

// Who makes connections faster than they end must not find the table full for want of a tick.
static void reclaim_while_short(struct janitor *j, uint32_t now_s)
{
	for (unsigned i = 0; i < SHORT_ROUNDS && !atomic_load(&j->stop); i++) {
		rcu_thread_online();
		const struct conn_table *table = rcu_dereference(*j->snapshot)->conns;
		bool is_short = table && conn_is_short(table);
		rcu_thread_offline();
		if (!is_short)
			return;
		usleep(SHORT_PAUSE_US);
		reclaim(j, now_s);
	}
}

static bool wait_tick(int timer_fd)
{
	uint64_t ticks;
	return read(timer_fd, &ticks, sizeof(ticks)) > 0 || errno == EINTR;
}

static void *watch_main(void *arg)
{
	struct janitor *j = arg;
	while (!atomic_load(&j->watch_stop) && wait_tick(j->watch_fd)) {
		atomic_store_explicit(&j->now_s, seconds(), memory_order_relaxed);
		j->on_tick(j->ctx);
	}
	return NULL;
}

static void *janitor_main(void *arg)
{
	struct janitor *j = arg;
	uint32_t aged_at = 0;
	rcu_register_thread();
	rcu_thread_offline();
	while (!atomic_load(&j->stop) && wait_tick(j->timer_fd)) {
		uint32_t now = seconds();
		rcu_thread_online();
		look_for_stalls(rcu_dereference(*j->snapshot));
		rcu_thread_offline();
		reclaim(j, now);
		reclaim_while_short(j, now);
		if (now == aged_at)
			continue;
		aged_at = now;
		rcu_thread_online();
		age_bridges(rcu_dereference(*j->snapshot), now);
		rcu_thread_offline();
	}
	rcu_unregister_thread();
	return NULL;
}

static int start_timer(struct error *err)
{
	const struct itimerspec each = {{0, TICK_NS}, {0, TICK_NS}};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "janitor: timerfd: %s", strerror(errno));
	timerfd_settime(fd, 0, &each, NULL);
	return fd;
}

static int start_thread(pthread_t *thread, void *(*main_of)(void *), struct janitor *j,
	const char *name, struct error *err)
{
	int rc = pthread_create(thread, NULL, main_of, j);
	if (rc)
		return error_set(err, rc, "%s: %s", name, strerror(rc));
	pthread_setname_np(*thread, name);
	return 0;
}

int janitor_start(struct janitor *j, struct snapshot *const *snapshot, void (*on_tick)(void *ctx),
	void *ctx, struct error *err)
{
	j->snapshot = snapshot;
	j->on_tick = on_tick;
	j->ctx = ctx;
	atomic_store(&j->now_s, seconds());
	int rc = j->timer_fd = start_timer(err);
	if (rc < 0)
		return rc;
	rc = j->watch_fd = start_timer(err);
	if (rc < 0)
		goto close_timer;
	rc = start_thread(&j->watch, watch_main, j, "weir-watch", err);
	if (rc)
		goto close_watch;
	rc = start_thread(&j->thread, janitor_main, j, "weir-janitor", err);
	if (!rc)
		return 0;
	atomic_store(&j->watch_stop, true);
	pthread_join(j->watch, NULL);
close_watch:
	close(j->watch_fd);
close_timer:
	close(j->timer_fd);
	return rc;
}

void janitor_stop(struct janitor *j)
{
	atomic_store(&j->stop, true);
	pthread_join(j->thread, NULL);
	// Last: who waits for a worker may need it.
	atomic_store(&j->watch_stop, true);
	pthread_join(j->watch, NULL);
	close(j->watch_fd);
	close(j->timer_fd);
}
