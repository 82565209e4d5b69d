// SPDX-License-Identifier: BSD-3-Clause
// A port's state is worked out when somebody asks, from what the hooks noted, the clock and the
// socket's file. The first of `views` that has something to say decides.
#include "vhost/control.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vhost/messages.h"
#include "vhost/socket.h"

// A front-end sends its memory table right after SET_FEATURES; a driver posts its receive buffers
// before it says that it runs.
#define NOT_SHARED_AFTER_NS NS_PER_S

static const char share_mend[] =
	"add <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking> to the "
	"domain, or share=on to QEMU's memory backend";

#define TEXT(status, ...) snprintf((status)->text, sizeof((status)->text), __VA_ARGS__)
#define MEND(status, ...) snprintf((status)->mend, sizeof((status)->mend), __VA_ARGS__)

typedef bool view(struct vhost_control *c, struct port_status *status);

static bool is_up(const struct vhost_control *c)
{
	return c->vrings[0].ring && c->vrings[1].ring;
}

// --- connected -----------------------------------------------------------------------------------

static enum ring_fault fault_of(const struct vhost_vring *v)
{
	return v->ring ? (enum ring_fault)atomic_load(&v->ring->fault) : v->fault;
}

static bool view_memory_gone(struct vhost_control *c, struct port_status *status)
{
	if (!vhost_memory_gone(c))
		return false;
	status->state = PORT_FAULTED;
	TEXT(status, "faulted: the VMM took memory away that it had shared");
	MEND(status, "restart the VM");
	return true;
}

static bool view_faulted_ring(struct vhost_control *c, struct port_status *status)
{
	for (unsigned i = 0; i < VRINGS_MAX; i++) {
		const struct vhost_vring *v = &c->vrings[i];
		enum ring_fault fault = fault_of(v);
		if (fault == RING_OK && !v->unusable)
			continue;
		status->state = PORT_FAULTED;
		TEXT(status, "faulted: %s in queue %u",
			fault == RING_OK ? v->unusable : ring_fault_text(fault), i);
		MEND(status, "reset the guest's card: load its driver again or reboot the guest");
		return true;
	}
	return false;
}

// A request that fails while the peer wants a reply has no other trace than that it never ends.
static bool view_refused(struct vhost_control *c, struct port_status *status)
{
	if (c->vid < 0 || is_up(c))
		return false;
	if (c->peer.request && vhost_now_ns() - c->peer.request_at_ns > NS_PER_S)
		messages_note_refusal(c);
	if (!c->peer.failed)
		return false;
	status->state = PORT_FAULTED;
	TEXT(status, "faulted: %s", c->failure);
	MEND(status, "reset the guest's card or restart the VM; the switch's log has the details");
	return true;
}

static bool driver_seen(const struct vhost_control *c)
{
	for (unsigned i = 0; i < VRINGS_MAX; i++) {
		const struct ring *ring = c->vrings[i].ring;
		if (ring && __atomic_load_n(&ring->avail->idx, __ATOMIC_RELAXED))
			return true;
	}
	return false;
}

// virtio-user tells every step of its driver, which may rest between features and start as long as
// it likes. QEMU says FEATURES_OK alone, or nothing.
static bool is_preparing(const struct vhost_peer *peer)
{
	return peer->status & VIRTIO_CONFIG_S_DRIVER && !(peer->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

// Two ways not to share. QEMU's memory without a file is never offered: after SET_FEATURES no table
// follows, and QEMU goes on without the switch. A private mapping of a file is offered like any
// other, but what the guest writes does not reach the file.
static bool view_not_shared(struct vhost_control *c, struct port_status *status)
{
	const struct vhost_peer *peer = &c->peer;
	if (peer->memory_untouched && driver_seen(c))
		c->peer.memory_untouched = false;
	uint64_t now = vhost_now_ns();
	bool no_table = c->vid >= 0 && !peer->has_table && !is_preparing(peer) &&
			peer->features_at_ns && now - peer->features_at_ns > NOT_SHARED_AFTER_NS;
	bool private = peer->memory_untouched && is_up(c) &&
		       now - c->running_at_ns > NOT_SHARED_AFTER_NS;
	if (!no_table && !private)
		return false;
	status->state = PORT_NOT_SHARED;
	TEXT(status, "memory not shared");
	MEND(status, "%s", share_mend);
	return true;
}

static bool view_up(struct vhost_control *c, struct port_status *status)
{
	if (!is_up(c) || c->peer.memory_untouched)
		return false;
	status->state = PORT_UP;
	TEXT(status, "up");
	return true;
}

static bool view_waiting_driver(struct vhost_control *c, struct port_status *status)
{
	if (c->vid < 0)
		return false;
	status->state = PORT_WAITING_DRIVER;
	TEXT(status, "waiting for the guest driver");
	if (c->peer.features >> VHOST_F_LOG_ALL & 1 && !c->log.bits)
		MEND(status, "the VMM has negotiated a log of dirty pages and not given it");
	return true;
}

// --- not connected -------------------------------------------------------------------------------

// The user that libvirt runs QEMU as, if there is one. Looked up again now and then.
static const struct socket_user *libvirt_user(void)
{
	static struct socket_user user;
	static bool known;
	static uint64_t next_ns;
	uint64_t now = vhost_now_ns();
	if (now >= next_ns) {
		known = socket_user_find(&user, "libvirt-qemu");
		next_ns = now + 10 * NS_PER_S;
	}
	return known ? &user : NULL;
}

static void mend_folder(
	struct port_status *status, const struct socket_user *user, const char *folder)
{
	MEND(status, "let user %s into the folder: setfacl -m u:%s:x %s", user->name, user->name,
		folder);
}

// We connect, and may not.
static bool view_forbidden_to_us(struct vhost_control *c, struct port_status *status)
{
	if (c->config.listens != LISTENS_VMM || !faccessat(AT_FDCWD, c->path, W_OK, AT_EACCESS) ||
		(errno != EACCES && errno != EPERM))
		return false;
	struct socket_user us;
	char what[SOCKET_PATH_SIZE], whose[96], folder[SOCKET_PATH_SIZE];
	socket_user_self(&us);
	bool closed_folder = !socket_user_may(&us, c->path, W_OK, what, sizeof(what)) &&
			     strcmp(what, c->path);
	socket_describe(c->path, whose, sizeof(whose));
	socket_folder(c->path, folder, sizeof(folder));
	status->state = PORT_PERMISSION;
	TEXT(status, "permission denied on %s", closed_folder ? what : c->path);
	if (closed_folder)
		mend_folder(status, &us, what);
	else
		MEND(status,
			"the switch runs as user %s; the socket: %s. Let it write there: setfacl "
			"-m "
			"u:%s:rw %s, and for sockets to come: setfacl -d -m u:%s:rwx %s",
			us.name, whose, us.name, c->path, us.name, folder);
	return true;
}

static bool view_forbidden_to_libvirt(struct vhost_control *c, struct port_status *status)
{
	const struct socket_user *user = libvirt_user();
	char what[SOCKET_PATH_SIZE];
	if (c->config.listens != LISTENS_SWITCH || !user ||
		socket_user_may(user, c->path, W_OK, what, sizeof(what)))
		return false;
	status->state = PORT_PERMISSION;
	TEXT(status, "permission denied on %.107s for user %.31s", what, user->name);
	if (strcmp(what, c->path))
		mend_folder(status, user, what);
	else
		MEND(status,
			"set the port's vhost-user.group to %s and vhost-user.mode to 0660, or the "
			"mode to 0666",
			user->group);
	return true;
}

static bool view_waiting_vmm(struct vhost_control *c, struct port_status *status)
{
	const struct socket_user *user = libvirt_user();
	char folder[SOCKET_PATH_SIZE], what[SOCKET_PATH_SIZE];
	socket_folder(c->path, folder, sizeof(folder));
	status->state = PORT_WAITING_VMM;
	TEXT(status, "waiting for the VMM");
	if (c->failure[0])
		MEND(status, "the last connection ended when %s", c->failure);
	else if (c->config.listens == LISTENS_VMM && access(folder, F_OK) && errno == ENOENT)
		MEND(status, "folder %s, where the VMM is to listen, does not exist", folder);
	else if (c->config.listens == LISTENS_VMM && user && access(c->path, F_OK) &&
		 !socket_user_may(user, folder, W_OK | X_OK, what, sizeof(what)))
		MEND(status,
			"start the VM. If libvirt does, %s is closed to its user: setfacl -m "
			"u:%s:rwx %s",
			what, user->name, what);
	else
		MEND(status, "start the VM whose card uses %s", c->path);
	return true;
}

// --- both ----------------------------------------------------------------------------------------

static view *const views[] = {
	view_memory_gone,
	view_faulted_ring,
	view_refused,
	view_not_shared,
	view_up,
	view_waiting_driver,
	view_forbidden_to_us,
	view_forbidden_to_libvirt,
	view_waiting_vmm,
};

static uint16_t pairs_of(const struct vhost_control *c)
{
	uint16_t pairs = 0;
	for (unsigned i = 0; i < VRINGS_MAX; i += 2)
		pairs += c->vrings[i].ring && c->vrings[i + 1].ring;
	return pairs;
}

void vhost_port_status(struct vhost_port *port, struct port_status *out)
{
	struct vhost_control *c = vhost_control(port);
	pthread_mutex_lock(&c->lock);
	*out = (struct port_status){
		.features = c->running ? c->peer.features : 0,
		.guest_mtu = c->vid >= 0 ? c->peer.mtu : 0,
		.pairs = pairs_of(c),
		.reconnects = c->connections ? c->connections - 1 : 0,
		.refused = c->refused,
		.peer_pid = c->vid >= 0 ? c->peer.pid : 0,
		.announcements = c->announcements,
	};
	memcpy(out->announce_mac, c->announce_mac, sizeof(out->announce_mac));
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		if (views[i](c, out))
			break;
	pthread_mutex_unlock(&c->lock);
}
