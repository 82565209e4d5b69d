// SPDX-License-Identifier: BSD-3-Clause
// Devices of DPDK by name, and the kernel's interfaces that some of them are made of. Internal to
// the NIC ports; main thread.
#ifndef WEIR_SWITCH_NIC_DEVICE_H
#define WEIR_SWITCH_NIC_DEVICE_H

#include "switch/nic.h"

enum {
	DEVICE_ARGS_SIZE = DEVICE_SIZE + 80
};

// Makes the device and tells DPDK's id of its one port. text: as configured; mtu and queues: what
// virtual devices are to be made for where the text does not say. 0 or -errno with a sentence.
int device_make(
	const char *text, uint16_t mtu, uint16_t queues, uint16_t *ethdev, struct error *err);
// Takes it back, closed or not.
void device_remove(uint16_t ethdev);

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
