/* SPDX-License-Identifier: MIT */
/* The memfd as RAM. */
#ifndef HF_LINUX_RAM_H
#define HF_LINUX_RAM_H

#include "port.h"

/* Open: HF_ERR_HOST. Close also what was opened in part. */
enum hf_status hf_linux_ram_open(struct hf_linux *lin, const struct hf_linux_config *config);
void hf_linux_ram_close(struct hf_linux *lin);
/* struct hf_port's prepare and discard. */
void hf_linux_prepare(void *host, hf_pa pa, uint64_t len);
void hf_linux_discard(void *host, hf_pa pa, uint64_t len);
/* Trim if much more memory is held than is in use. */
void hf_linux_trim_excess(struct hf_linux *lin);

#endif
