// SPDX-License-Identifier: BSD-3-Clause
// Devices of DPDK by name, and the kernel's interfaces that some of them are made of. Internal to
// the NIC ports; main thread.
#ifndef WEIR_SWITCH_NIC_DEVICE_H
#define WEIR_SWITCH_NIC_DEVICE_H

#include "switch/nic.h"

// The device with what follows from its port's settings and need not be said twice: how many queues
// and how large frames a virtual device is made for. args: DEVICE_ARGS_SIZE bytes.
void device_complete(const char *text, uint16_t mtu, uint16_t queues, char *args);

// Takes `,key=NAME` out of args, where NAME is the name of the device `text`.
void device_without(char *args, const char *key, const char *text);

// Makes the device and tells DPDK's id of its one port. 0 or -errno with a sentence: -EBUSY if it
// is another port's already.
int device_make(const char *args, uint16_t *ethdev, struct error *err);
// Stops it, if it was started, and takes it back.
void device_remove(uint16_t ethdev);

// Queues, offloads and packet buffers; nic->room is at least what it was. 0 or -errno with a
// sentence.
int device_configure(struct nic *nic, uint16_t mtu, uint16_t nworkers, struct error *err);

// nic_pool.c: packet buffers of nic->room bytes for so many entries of rings. 0 or -errno.
int pool_make(struct nic *nic, unsigned entries, uint16_t nworkers, struct error *err);
// Frees them when all have come back (nic_reclaim). NULL is allowed.
void pool_retire(struct rte_mempool *pool);

// Whether that is a PCI address, with a domain or without.
bool pci_is(const char *name);
// Whether DPDK may take the device: it exists, its driver hands it over, this process may have it,
// and there are the addresses it needs. 0 or -errno with a sentence that says what to do.
int pci_check(const char *name, struct error *err);
// DPDK did not take it and said rc: a sentence, with the reason if it is known here. Returns
// -errno.
int pci_explain(const char *name, int rc, struct error *err);
// Sets *removed, on a thread of DPDK's, when the kernel wants a PCI device back: it is pulled out,
// or unbound from vfio-pci, and the kernel waits until it is given back. Other devices are not
// watched.
void pci_watch(uint16_t ethdev, _Atomic bool *removed);
// Behind it *removed is not touched any more.
void pci_unwatch(uint16_t ethdev);

// The number behind `key=` in the device's arguments; 0 if there is none.
unsigned device_number(const char *text, const char *key);

// Notes the interface the device is made of, if it is of that kind. -ENODEV: it does not exist.
int interface_find(struct nic_interface *interface, const char *text, struct error *err);
enum interface_state {
	INTERFACE_UP,
	INTERFACE_DOWN,
	INTERFACE_GONE // or another of its name came
};
enum interface_state interface_look(const struct nic_interface *interface);

#endif
