/* SPDX-License-Identifier: MIT */
#include <holdfast/status.h>
#include <stddef.h>

struct entry {
	const char *name;
	const char *text;
};

/* Indexed by -status. */
static const struct entry table[] = {
	[-HF_OK] = { "HF_OK", "success" },
	[-HF_ERR_INVAL] = { "HF_ERR_INVAL", "an argument has a value the call does not accept" },
	[-HF_ERR_FLAGS] = { "HF_ERR_FLAGS", "a flag is unknown, or two flags exclude each other" },
	[-HF_ERR_ALIGN] = { "HF_ERR_ALIGN",
			    "an address or length is not aligned; round it to pages" },
	[-HF_ERR_EMPTY] = { "HF_ERR_EMPTY", "a length or count is zero" },
	[-HF_ERR_WRAP] = { "HF_ERR_WRAP",
			   "address plus length passes the end of the address range" },
	[-HF_ERR_RANGE] = { "HF_ERR_RANGE", "outside of the address space or of the RAM" },
	[-HF_ERR_OVERLAP] = { "HF_ERR_OVERLAP", "two ranges overlap that must be apart" },
	[-HF_ERR_EXIST] = { "HF_ERR_EXIST", "something is mapped there already; unmap it or ask "
					    "for another place" },
	[-HF_ERR_NOSPACE] = { "HF_ERR_NOSPACE", "no gap in the address space is large enough" },
	[-HF_ERR_UNMAPPED] = { "HF_ERR_UNMAPPED", "an address of the range is not mapped" },
	[-HF_ERR_ACCESS] = { "HF_ERR_ACCESS", "the mapping's protection forbids it" },
	[-HF_ERR_NOMEM] = { "HF_ERR_NOMEM", "no free physical memory; unmap or unpin something" },
	[-HF_ERR_OVERFLOW] = { "HF_ERR_OVERFLOW", "a mapping, pin or table count is at its limit" },
	[-HF_ERR_NOT_PINNED] = { "HF_ERR_NOT_PINNED",
				 "a page of the list holds no pin to give back" },
	[-HF_ERR_SPANS] = { "HF_ERR_SPANS",
			    "the span list is too short; one span per page is always enough" },
	[-HF_ERR_BUSY] = { "HF_ERR_BUSY", "still in use: spaces, pins or pages remain" },
	[-HF_ERR_CORRUPT] = { "HF_ERR_CORRUPT", "an invariant is broken; the violation names it" },
	[-HF_ERR_HOST] = { "HF_ERR_HOST", "the host system refused; errno says why" },
	[-HF_ERR_LIMIT] = { "HF_ERR_LIMIT",
			    "beyond the space's limit; raise it or unmap something" },
	[-HF_ERR_SEALED] = { "HF_ERR_SEALED", "the mapping is sealed until its space ends" },
	[-HF_ERR_AGAIN] = { "HF_ERR_AGAIN", "something is pinned; try again when it is not" },
	[-HF_ERR_BUS] = { "HF_ERR_BUS", "beyond the end of the object, or its pager failed" },
	[-HF_ERR_STORE] = { "HF_ERR_STORE", "the swap store is full or failed; nothing is lost" },
	[-HF_ERR_PENDING] = { "HF_ERR_PENDING", "the pager has no answer yet; wait for it" },
	[-HF_ERR_RETRY] = { "HF_ERR_RETRY", "a page is on its way; try again when it is there" },
};

static const struct entry *find(enum hf_status status)
{
	if (status > 0 || status <= -(int)(sizeof(table) / sizeof(table[0])))
		return NULL;
	return &table[-status];
}

const char *hf_status_name(enum hf_status status)
{
	const struct entry *e = find(status);

	return e ? e->name : "HF_ERR_?";
}

const char *hf_strerror(enum hf_status status)
{
	const struct entry *e = find(status);

	return e ? e->text : "not a status of Holdfast";
}
