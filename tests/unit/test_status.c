/* SPDX-License-Identifier: MIT */
/* Every status has a name and a sentence of its own; nothing else has one. */
#include "unit.h"

#include <limits.h>

/* The identifier and its spelling, so that a name in the table cannot be another's. */
#define STATUS(name)        \
	{                   \
		name, #name \
	}
static const struct {
	enum hf_status status;
	const char *name;
} statuses[] = {
	STATUS(HF_OK),		STATUS(HF_ERR_INVAL),	 STATUS(HF_ERR_FLAGS),
	STATUS(HF_ERR_ALIGN),	STATUS(HF_ERR_EMPTY),	 STATUS(HF_ERR_WRAP),
	STATUS(HF_ERR_RANGE),	STATUS(HF_ERR_OVERLAP),	 STATUS(HF_ERR_EXIST),
	STATUS(HF_ERR_NOSPACE), STATUS(HF_ERR_UNMAPPED), STATUS(HF_ERR_ACCESS),
	STATUS(HF_ERR_NOMEM),	STATUS(HF_ERR_OVERFLOW), STATUS(HF_ERR_NOT_PINNED),
	STATUS(HF_ERR_SPANS),	STATUS(HF_ERR_BUSY),	 STATUS(HF_ERR_CORRUPT),
	STATUS(HF_ERR_HOST),	STATUS(HF_ERR_LIMIT),	 STATUS(HF_ERR_SEALED),
	STATUS(HF_ERR_AGAIN),	STATUS(HF_ERR_BUS),	 STATUS(HF_ERR_STORE),
	STATUS(HF_ERR_PENDING), STATUS(HF_ERR_RETRY),
};

static void names_are_the_identifiers(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(statuses); i++)
		assert_string_equal(hf_status_name(statuses[i].status), statuses[i].name);
}

static void texts_are_sentences_of_their_own(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(statuses); i++) {
		const char *text = hf_strerror(statuses[i].status);

		assert_true(strlen(text) >= strlen("success"));
		assert_string_not_equal(text, hf_strerror((enum hf_status)1));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(text, hf_strerror(statuses[j].status));
	}
}

/* The list above is complete, or the first number behind it would have a name. */
static void other_values_are_unknown(void **state)
{
	const int unknown[] = { 1, 2, 4711, INT_MAX, -(int)COUNT(statuses), -4711, INT_MIN };

	(void)state;
	for (size_t i = 0; i < COUNT(unknown); i++) {
		assert_string_equal(hf_status_name((enum hf_status)unknown[i]), "HF_ERR_?");
		assert_string_equal(hf_strerror((enum hf_status)unknown[i]),
				    hf_strerror((enum hf_status)1));
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_the_identifiers),
		cmocka_unit_test(texts_are_sentences_of_their_own),
		cmocka_unit_test(other_values_are_unknown),
	};

	return RUN(tests, argc, argv);
}
