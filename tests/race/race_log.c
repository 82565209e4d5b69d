// SPDX-License-Identifier: BSD-3-Clause
// Threads log from shared call sites while another changes the levels.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/log.h"

enum {
	ROUNDS = 2000
};

static void *speaker(void *arg)
{
	for (unsigned round = 0; round < ROUNDS; round++)
		log_info(LOG_MAIN, "thread %u, round %u", (unsigned)(uintptr_t)arg, round);
	return NULL;
}

int main(void)
{
	pthread_t threads[3];
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, speaker, (void *)i);
	for (unsigned round = 0; round < ROUNDS; round++)
		log_set_level(LOG_MAIN, round % 2 ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	return log_get_level(LOG_MAIN) == LOG_LEVEL_INFO ? EXIT_SUCCESS : EXIT_FAILURE;
}
