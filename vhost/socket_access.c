// SPDX-License-Identifier: BSD-3-Clause
// Whether another user may use a socket, worked out from owners, modes and ACLs as the kernel does
// it (acl(5), ACCESS CHECK ALGORITHM). The switch is rarely allowed to become that user and try.
#include "vhost/socket.h"

#include <acl/libacl.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <unistd.h>

static void name_of_group(gid_t gid, char *name, size_t size)
{
	const struct group *gr = getgrgid(gid);
	if (gr)
		snprintf(name, size, "%s", gr->gr_name);
	else
		snprintf(name, size, "%u", gid);
}

bool socket_user_find(struct socket_user *user, const char *name)
{
	const struct passwd *pw = getpwnam(name);
	if (!pw)
		return false;
	*user = (struct socket_user){.uid = pw->pw_uid, .ngroups = 32};
	snprintf(user->name, sizeof(user->name), "%s", name);
	gid_t primary = pw->pw_gid;
	// More than 32: the first ones.
	if (getgrouplist(name, primary, user->groups, &user->ngroups) < 0)
		user->ngroups = 32;
	name_of_group(primary, user->group, sizeof(user->group));
	return true;
}

void socket_user_self(struct socket_user *user)
{
	*user = (struct socket_user){.uid = geteuid()};
	const struct passwd *pw = getpwuid(user->uid);
	if (pw)
		snprintf(user->name, sizeof(user->name), "%s", pw->pw_name);
	else
		snprintf(user->name, sizeof(user->name), "%u", user->uid);
	int n = getgroups(31, user->groups);
	user->ngroups = n > 0 ? n : 0;
	user->groups[user->ngroups++] = getegid();
	name_of_group(getegid(), user->group, sizeof(user->group));
}

static bool in_group(const struct socket_user *user, gid_t gid)
{
	for (int i = 0; i < user->ngroups; i++)
		if (user->groups[i] == gid)
			return true;
	return false;
}

static int perms_of(acl_entry_t entry)
{
	acl_permset_t set;
	acl_get_permset(entry, &set);
	return (acl_get_perm(set, ACL_READ) ? R_OK : 0) |
	       (acl_get_perm(set, ACL_WRITE) ? W_OK : 0) |
	       (acl_get_perm(set, ACL_EXECUTE) ? X_OK : 0);
}

static bool qualifies(const struct socket_user *user, acl_entry_t entry, acl_tag_t tag)
{
	void *id = acl_get_qualifier(entry);
	if (!id)
		return false;
	bool yes = tag == ACL_USER ? *(uid_t *)id == user->uid : in_group(user, *(gid_t *)id);
	acl_free(id);
	return yes;
}

// What the entries of an ACL say about a user, by class. Several groups may match: each counts by
// itself, so what is granted to them is kept as a set of permission masks.
struct grants {
	int owner, named, other, mask;
	bool is_named, is_group;
	unsigned group_masks; // bit p: a matching group entry has the permissions p
};

static void add_entry(
	struct grants *g, const struct socket_user *user, const struct stat *st, acl_entry_t entry)
{
	acl_tag_t tag;
	int perms = perms_of(entry);
	bool matches = false;
	acl_get_tag_type(entry, &tag);
	switch (tag) {
	case ACL_USER_OBJ:
		g->owner = perms;
		break;
	case ACL_OTHER:
		g->other = perms;
		break;
	case ACL_MASK:
		g->mask = perms;
		break;
	case ACL_USER:
		if (qualifies(user, entry, tag)) {
			g->is_named = true;
			g->named = perms;
		}
		break;
	default:
		matches = tag == ACL_GROUP_OBJ ? in_group(user, st->st_gid)
					       : qualifies(user, entry, tag);
	}
	if (matches) {
		g->is_group = true;
		g->group_masks |= 1u << perms;
	}
}

static bool granted(
	const struct grants *g, const struct socket_user *user, const struct stat *st, int want)
{
	if (user->uid == st->st_uid)
		return (g->owner & want) == want;
	if (g->is_named)
		return (g->named & g->mask & want) == want;
	for (int perms = 0; perms < 8; perms++)
		if (g->group_masks >> perms & 1 && (perms & g->mask & want) == want)
			return true;
	return !g->is_group && (g->other & want) == want;
}

static bool may_here(const struct socket_user *user, const char *path, int want)
{
	struct stat st;
	if (!user->uid || stat(path, &st))
		return true;
	acl_t acl = acl_get_file(path, ACL_TYPE_ACCESS);
	if (!acl) // a file system without ACLs
		acl = acl_from_mode(st.st_mode);
	if (!acl)
		return true;
	struct grants g = {.mask = R_OK | W_OK | X_OK};
	acl_entry_t entry;
	for (int rc = acl_get_entry(acl, ACL_FIRST_ENTRY, &entry); rc == 1;
		rc = acl_get_entry(acl, ACL_NEXT_ENTRY, &entry))
		add_entry(&g, user, &st, entry);
	acl_free(acl);
	return granted(&g, user, &st, want);
}

bool socket_user_may(
	const struct socket_user *user, const char *path, int want, char *what, size_t what_size)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		int len = slash > path ? (int)(slash - path) : 1;
		snprintf(what, what_size, "%.*s", len, path);
		if (!may_here(user, what, X_OK))
			return false;
	}
	snprintf(what, what_size, "%s", path);
	return may_here(user, path, want);
}

void socket_describe(const char *path, char *text, size_t size)
{
	struct stat st;
	char group[NAME_SIZE];
	if (stat(path, &st)) {
		snprintf(text, size, "%s", strerror(errno));
		return;
	}
	name_of_group(st.st_gid, group, sizeof(group));
	const struct passwd *pw = getpwuid(st.st_uid);
	if (pw)
		snprintf(text, size, "%.31s:%s, mode %04o", pw->pw_name, group, st.st_mode & 07777);
	else
		snprintf(text, size, "%u:%s, mode %04o", st.st_uid, group, st.st_mode & 07777);
}
