// SPDX-License-Identifier: BSD-3-Clause
// Opening and closing of ports, and the vhost library's callbacks for connections. control.h has
// the life cycle, the synchronisation and the lock order; messages.c what happens around each
// request, publish.c how rings come and go, status.c how the port's state is told.
#include "vhost/control.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <rte_vhost.h>

#include "base/log.h"
#include "vhost/bus_error.h"
#include "vhost/log_base.h"
#include "vhost/memory_table.h"
#include "vhost/messages.h"
#include "vhost/publish.h"
#include "vhost/socket.h"

#define BIT(n) (1ULL << (n))

uint64_t vhost_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

// Not offered, though the library has them: packed rings, in-order use and IOMMU addresses, which
// the rings do not implement; UFO and the old GSO bit, which Linux gave up.
uint64_t vhost_offered_features(void)
{
	return BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) |
	       BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |
	       BIT(VIRTIO_NET_F_HOST_ECN) | BIT(VIRTIO_NET_F_GUEST_TSO4) |
	       BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) | BIT(VIRTIO_NET_F_MTU) |
	       BIT(VIRTIO_NET_F_MQ) | BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_CTRL_RX) |
	       BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
	       BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_ANY_LAYOUT) | BIT(VIRTIO_F_VERSION_1) |
	       BIT(VHOST_F_LOG_ALL) | BIT(VHOST_USER_F_PROTOCOL_FEATURES);
}

#define OFFERED_PROTOCOL \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) | \
		BIT(VHOST_USER_PROTOCOL_F_RARP) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
		BIT(VHOST_USER_PROTOCOL_F_NET_MTU) | BIT(VHOST_USER_PROTOCOL_F_STATUS))

// --- from the library's device to the port -------------------------------------------------------

static struct {
	pthread_mutex_t lock; // taken alone
	struct vhost_control *first;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct vhost_control *table_find(const char *path)
{
	pthread_mutex_lock(&table.lock);
	struct vhost_control *c = table.first;
	while (c && strcmp(c->path, path))
		c = c->next;
	pthread_mutex_unlock(&table.lock);
	return c;
}

static void table_add(struct vhost_control *c)
{
	pthread_mutex_lock(&table.lock);
	c->next = table.first;
	table.first = c;
	pthread_mutex_unlock(&table.lock);
}

static void table_remove(struct vhost_control *c)
{
	pthread_mutex_lock(&table.lock);
	struct vhost_control **at = &table.first;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	pthread_mutex_unlock(&table.lock);
}

// A port is in the table from before it is registered until after it is unregistered, which waits
// for the hooks: so what is found stays.
struct vhost_control *vhost_control_of(int vid)
{
	char path[SOCKET_PATH_SIZE];
	return rte_vhost_get_ifname(vid, path, sizeof(path)) ? NULL : table_find(path);
}

// --- the library's callbacks ---------------------------------------------------------------------

static void take_down(struct vhost_control *c)
{
	rings_quiesce(c, ALL_VRINGS);
	rings_reset(c);
	c->running = false;
}

// May run on the main thread (the first attempt to connect), on the thread that connects again, and
// on the event thread.
static int on_new_connection(int vid)
{
	struct vhost_control *c = vhost_control_of(vid);
	int rc = -1;
	if (!c)
		return rc;
	pthread_mutex_lock(&c->lock);
	if (c->vid >= 0) {
		c->refused++;
		log_warning(LOG_VHOST, "port %s: a second connection is refused", c->name);
	} else if (!c->closing && !messages_attach(vid)) {
		c->vid = vid;
		c->connections++;
		c->peer = (struct vhost_peer){.pid = socket_peer_pid(c->path)};
		for (unsigned i = 0; i < VRINGS_MAX; i++)
			c->vrings[i].enabled = false;
		log_info(LOG_VHOST, "port %s: connected to process %d", c->name, c->peer.pid);
		c->events->changed(c->ctx);
		rc = 0;
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}

static void on_destroy_connection(int vid)
{
	struct vhost_control *c = vhost_control_of(vid);
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->vid == vid) {
		messages_note_refusal(c);
		take_down(c);
		memory_drop(c);
		log_base_drop(c);
		c->vid = -1;
		c->disconnected_at_ns = vhost_now_ns();
		log_info(LOG_VHOST, "port %s: disconnected", c->name);
		c->events->changed(c->ctx);
	}
	pthread_mutex_unlock(&c->lock);
}

static int on_new_device(int vid)
{
	struct vhost_control *c = vhost_control_of(vid);
	if (!c)
		return -1;
	pthread_mutex_lock(&c->lock);
	c->running = true;
	c->running_at_ns = vhost_now_ns();
	rings_publish(c);
	log_info(LOG_VHOST, "port %s: the guest driver runs, features 0x%llx", c->name,
		(unsigned long long)c->peer.features);
	pthread_mutex_unlock(&c->lock);
	return 0;
}

// Only of a running device: GET_VRING_BASE, a lost connection, unregistering.
static void on_destroy_device(int vid)
{
	struct vhost_control *c = vhost_control_of(vid);
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	take_down(c);
	if (!c->closing) {
		log_info(LOG_VHOST, "port %s: the guest driver has stopped", c->name);
		c->events->changed(c->ctx);
	}
	pthread_mutex_unlock(&c->lock);
}

static const struct rte_vhost_device_ops callbacks = {
	.new_device = on_new_device,
	.destroy_device = on_destroy_device,
	.new_connection = on_new_connection,
	.destroy_connection = on_destroy_connection,
};

// --- opening and closing -------------------------------------------------------------------------

static struct vhost_control *control_new(const char *name, const char *path,
	const struct config_vhost_user *config, uint16_t mtu,
	const struct vhost_port_events *events, void *ctx)
{
	size_t size = (sizeof(struct vhost_control) + 63) & ~(size_t)63;
	struct vhost_control *c = aligned_alloc(64, size);
	if (!c)
		return NULL;
	memset(c, 0, size);
	snprintf(c->name, sizeof(c->name), "%s", name);
	snprintf(c->path, sizeof(c->path), "%s", path);
	c->config = *config;
	if (c->config.queues > QUEUE_PAIRS_MAX)
		c->config.queues = QUEUE_PAIRS_MAX;
	c->mtu = mtu;
	c->events = events;
	c->ctx = ctx;
	c->vid = -1;
	for (unsigned i = 0; i < VRINGS_MAX; i++)
		c->vrings[i].kick_fd = c->vrings[i].call_fd = -1;
	pthread_mutex_init(&c->lock, NULL);
	return c;
}

static void control_free(struct vhost_control *c)
{
	memory_drop(c);
	log_base_drop(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

// Features are restricted, never set: rte_vhost_driver_set_features would turn off the library's
// own rules for network devices, and a guest that uses one of four queue pairs would never start.
static int restrict_features(const char *path, struct error *err)
{
	uint64_t all;
	if (rte_vhost_driver_get_features(path, &all) ||
		rte_vhost_driver_disable_features(path, all & ~vhost_offered_features()) ||
		rte_vhost_driver_set_protocol_features(path, OFFERED_PROTOCOL) ||
		rte_vhost_driver_callback_register(path, &callbacks))
		return error_set(err, EIO, "the vhost library does not know socket %s", path);
	return 0;
}

// Binds, or begins to connect. The library gives the socket what the umask leaves, until
// socket_set_owner has run: nothing.
static int start(struct vhost_control *c, struct error *err)
{
	bool listens = c->config.listens == LISTENS_SWITCH;
	mode_t mask = listens ? umask(0777) : 0;
	errno = 0;
	int rc = rte_vhost_driver_start(c->path);
	int code = errno ? errno : EIO;
	if (listens)
		umask(mask);
	if (rc)
		return error_set(err, code, "cannot %s %s: %s",
			listens ? "listen on" : "connect to", c->path, strerror(code));
	return listens ? socket_set_owner(c->path, &c->config, err) : 0;
}

int vhost_port_open(struct vhost_port **out, const char *name, const char *path,
	const struct config_vhost_user *config, uint16_t mtu,
	const struct vhost_port_events *events, void *ctx, struct error *err)
{
	bool listens = config->listens == LISTENS_SWITCH;
	int rc = messages_check_library(err);
	if (rc)
		return rc;
	bus_error_install();
	if (strlen(path) >= SOCKET_PATH_SIZE)
		return error_set(err, ENAMETOOLONG, "socket path %s is longer than %d bytes", path,
			SOCKET_PATH_SIZE - 1);
	const struct vhost_control *other = table_find(path);
	if (other)
		return error_set(
			err, EADDRINUSE, "socket %s is that of port %s", path, other->name);
	rc = listens ? socket_prepare(path, err) : 0;
	if (rc)
		return rc;
	struct vhost_control *c = control_new(name, path, config, mtu, events, ctx);
	if (!c)
		return error_set(err, ENOMEM, "no memory for port %s", name);
	table_add(c);
	if (rte_vhost_driver_register(path, listens ? 0 : RTE_VHOST_USER_CLIENT)) {
		rc = error_set(err, EIO, "the vhost library refuses socket %s", path);
		goto fail;
	}
	rc = restrict_features(path, err);
	if (!rc)
		rc = start(c, err);
	if (rc)
		goto fail_registered;
	*out = &c->port;
	return 0;

fail_registered:
	vhost_port_close(&c->port);
	return rc;
fail:
	table_remove(c);
	control_free(c);
	return rc;
}

// After it has called on_destroy_connection, the library has the connecting thread try again. If a
// client socket is unregistered in that very moment, it is freed and tried again all the same.
// There is no way to ask whether it is done, so give it time.
static void let_reconnect_settle(const struct vhost_control *c)
{
	enum {
		SETTLE_MS = 20
	};
	if (c->config.listens == LISTENS_SWITCH || !c->disconnected_at_ns)
		return;
	if (vhost_now_ns() - c->disconnected_at_ns < SETTLE_MS * (NS_PER_S / 1000))
		nanosleep(&(struct timespec){.tv_nsec = SETTLE_MS * 1000000l}, NULL);
}

void vhost_port_close(struct vhost_port *port)
{
	struct vhost_control *c = vhost_control(port);
	pthread_mutex_lock(&c->lock);
	c->closing = true;
	take_down(c);
	pthread_mutex_unlock(&c->lock);
	let_reconnect_settle(c);
	// Ends the connection and unlinks what was bound. It never calls on_destroy_connection.
	rte_vhost_driver_unregister(c->path);
	table_remove(c);
	control_free(c);
}
