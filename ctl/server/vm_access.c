// SPDX-License-Identifier: BSD-3-Clause
// Two ACLs do it. The directory's own lets libvirt's QEMU create sockets there. Its default is
// inherited by each socket made there: the switch may connect to QEMU's, and QEMU to the switch's.
// A socket's maker still has its say, since bind(2) takes its umask off the ACL's mask: libvirt
// starts QEMU with umask 002, which leaves the entries whole; under 022 they lose their write bit,
// and the port then says `permission denied`.
#include "ctl/server/vm_access.h"

#include <acl/libacl.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#define VMM_USER "libvirt-qemu" // Debian's; QEMU runs as it under libvirt

static int add_user(acl_t *acl, uid_t uid)
{
	acl_entry_t entry;
	acl_permset_t perms;
	if (acl_create_entry(acl, &entry) < 0 || acl_set_tag_type(entry, ACL_USER) < 0 ||
		acl_set_qualifier(entry, &uid) < 0 || acl_get_permset(entry, &perms) < 0)
		return -errno;
	acl_add_perm(perms, ACL_READ);
	acl_add_perm(perms, ACL_WRITE);
	acl_add_perm(perms, ACL_EXECUTE);
	return 0;
}

// rwxr-xr-x and rwx for the users; uids of -1 are left out.
static int set_acl(const char *path, acl_type_t type, const uid_t uids[2])
{
	acl_t acl = acl_from_mode(0755);
	if (!acl)
		return -errno;
	int rc = 0;
	for (unsigned i = 0; i < 2 && !rc; i++)
		if (uids[i] != (uid_t)-1)
			rc = add_user(&acl, uids[i]);
	if (!rc && (acl_calc_mask(&acl) < 0 || acl_set_file(path, type, acl) < 0))
		rc = -errno;
	acl_free(acl);
	return rc;
}

// Names the first directory on the way that the VMM's user cannot pass.
static void check_way(const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	for (size_t i = 1; path[i]; i++) {
		if (path[i] != '/' || i >= sizeof(part))
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (stat(part, &st) == 0 && !(st.st_mode & S_IXOTH)) {
			log_info(LOG_MAIN,
				"%s is closed to other users: a VMM that runs as %s cannot reach "
				"%s; name another place by --run-dir",
				part, VMM_USER, path);
			return;
		}
	}
}

void vm_access_grant(const char *path)
{
	struct passwd *vmm = getpwnam(VMM_USER);
	uid_t vmm_uid = vmm ? vmm->pw_uid : (uid_t)-1;
	int rc = 0;
	if (vmm)
		rc = set_acl(path, ACL_TYPE_ACCESS, (uid_t[2]){vmm_uid, (uid_t)-1});
	if (!rc)
		rc = set_acl(path, ACL_TYPE_DEFAULT, (uid_t[2]){vmm_uid, geteuid()});
	if (!rc && vmm)
		check_way(path);
	if (!rc)
		return;
	if (vmm)
		log_warning(LOG_MAIN, "%s: cannot let %s in: %s; %s", path, VMM_USER, strerror(-rc),
			rc == -EPERM ? "it belongs to somebody else: remove it while no VM uses it"
				     : "name a run directory on a file system with ACLs, such as "
				       "tmpfs, ext4 or xfs");
	else
		log_debug(LOG_MAIN, "%s: no default ACL: %s", path, strerror(-rc));
}
