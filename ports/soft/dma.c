/* SPDX-License-Identifier: MIT */
/* The DMA engine: a thread that copies to and from physical addresses, in the order asked. */
#include "ram.h"

#include <stdlib.h>

#define QUEUE 64

struct transfer {
	void *dst;
	const void *src;
	uint64_t len;
};

struct hf_soft_dma {
	struct hf_soft *soft;
	pthread_t thread;
	pthread_mutex_t lock;  /* guards all below */
	pthread_cond_t queued; /* first < last, or stop */
	pthread_cond_t done;   /* first has advanced */
	uint64_t first, last;  /* transfers [first, last) are in the queue, `first` being done */
	bool stop;
	struct transfer queue[QUEUE]; /* number n at n % QUEUE */
};

static void *engine(void *arg)
{
	struct hf_soft_dma *dma = arg;

	pthread_mutex_lock(&dma->lock);
	for (;;) {
		struct transfer t;

		while (dma->first == dma->last && !dma->stop)
			pthread_cond_wait(&dma->queued, &dma->lock);
		if (dma->first == dma->last)
			break;
		t = dma->queue[dma->first % QUEUE];
		pthread_mutex_unlock(&dma->lock);
		hf_soft_copy(t.dst, t.src, t.len);
		pthread_mutex_lock(&dma->lock);
		dma->first++;
		pthread_cond_broadcast(&dma->done);
	}
	pthread_mutex_unlock(&dma->lock);
	return NULL;
}

static void dma_release(struct hf_soft_dma *dma)
{
	pthread_mutex_destroy(&dma->lock);
	pthread_cond_destroy(&dma->queued);
	pthread_cond_destroy(&dma->done);
	free(dma);
}

enum hf_status hf_soft_dma_create(struct hf_soft *soft, struct hf_soft_dma **out)
{
	struct hf_soft_dma *dma = calloc(1, sizeof(*dma));

	if (!dma)
		return HF_ERR_NOMEM;
	dma->soft = soft;
	pthread_mutex_init(&dma->lock, NULL);
	pthread_cond_init(&dma->queued, NULL);
	pthread_cond_init(&dma->done, NULL);
	if (pthread_create(&dma->thread, NULL, engine, dma)) {
		dma_release(dma);
		return HF_ERR_HOST;
	}
	pthread_mutex_lock(&soft->lock);
	soft->dma_count++;
	pthread_mutex_unlock(&soft->lock);
	*out = dma;
	return HF_OK;
}

void hf_soft_dma_destroy(struct hf_soft_dma *dma)
{
	struct hf_soft *soft = dma->soft;

	pthread_mutex_lock(&dma->lock);
	dma->stop = true;
	pthread_cond_signal(&dma->queued);
	pthread_mutex_unlock(&dma->lock);
	pthread_join(dma->thread, NULL);
	dma_release(dma);
	pthread_mutex_lock(&soft->lock);
	soft->dma_count--;
	pthread_mutex_unlock(&soft->lock);
}

static enum hf_status submit(struct hf_soft_dma *dma, void *dst, const void *src, uint64_t len)
{
	pthread_mutex_lock(&dma->lock);
	while (dma->last - dma->first == QUEUE)
		pthread_cond_wait(&dma->done, &dma->lock);
	dma->queue[dma->last++ % QUEUE] = (struct transfer){ dst, src, len };
	pthread_cond_signal(&dma->queued);
	pthread_mutex_unlock(&dma->lock);
	return HF_OK;
}

enum hf_status hf_soft_dma_write(struct hf_soft_dma *dma, hf_pa pa, const void *buf, uint64_t len)
{
	void *ram = hf_soft_ram(dma->soft, pa.v, len);

	if (!len)
		return HF_ERR_EMPTY;
	return ram ? submit(dma, ram, buf, len) : HF_ERR_RANGE;
}

enum hf_status hf_soft_dma_read(struct hf_soft_dma *dma, hf_pa pa, void *buf, uint64_t len)
{
	const void *ram = hf_soft_ram(dma->soft, pa.v, len);

	if (!len)
		return HF_ERR_EMPTY;
	return ram ? submit(dma, buf, ram, len) : HF_ERR_RANGE;
}

void hf_soft_dma_wait(struct hf_soft_dma *dma)
{
	pthread_mutex_lock(&dma->lock);
	while (dma->first != dma->last)
		pthread_cond_wait(&dma->done, &dma->lock);
	pthread_mutex_unlock(&dma->lock);
}
