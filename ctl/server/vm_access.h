// SPDX-License-Identifier: BSD-3-Clause
// Makes RUN_DIR/vm usable for the VMM's user and the sockets there usable for the switch.
#ifndef WEIR_CTL_SERVER_VM_ACCESS_H
#define WEIR_CTL_SERVER_VM_ACCESS_H

// `path` belongs to this process's user, or the process is root. What cannot be done is logged
// with its mend and harms nothing else.
void vm_access_grant(const char *path);

#endif
