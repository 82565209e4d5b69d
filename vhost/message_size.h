// SPDX-License-Identifier: BSD-3-Clause
// How long a vhost-user message has to be for what its request says.
#ifndef WEIR_VHOST_MESSAGE_SIZE_H
#define WEIR_VHOST_MESSAGE_SIZE_H

#include "vhost/protocol.h"

// The payload's bytes that the request's handler reads. The library takes a shorter message as it
// is: what is missing is then the rest of an older one, maybe of another port's. Any thread.
uint32_t message_size_due(const struct message *m);

#endif
