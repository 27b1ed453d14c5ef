# SPDX-License-Identifier: MIT
"""What scripts/headers.py reads out of a header, and which holes it finds."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))
import headers  # noqa: E402

GOOD = """\
/* SPDX-License-Identifier: MIT */
/* Toys: see fork(2). */
#ifndef T
#define T

#include <stdint.h>

/* The kinds. */
enum hf_kind {
	HF_KIND_A = 1, /* one; and hf_other(no); */
};
#define HF_KINDS 1

struct hf_toy; /* a toy */

/*
 * Make a toy of `len` bytes. A list:
 *  - of one
 *    thing;
 *  - of two.
 *
 * More. HF_ERR_INVAL: kind, or a len (2^7 or so). HF_ERR_EMPTY, HF_ERR_RANGE.
 * HF_ERR_NOMEM while HF_ERR_BUSY would do. Takes no lock.
 */
enum hf_status hf_toy_make(struct hf_toy *toy, uint64_t len,
			   enum hf_kind kind);
enum hf_status hf_toy_make_more(struct hf_toy *toy, uint64_t len);

/* Show a toy of `len` to `visit`. HF_ERR_BUSY: it asked to. */
enum hf_status hf_toy_visit(struct hf_toy *toy, bool (*visit)(void *arg, int n), uint64_t len);

/* The size of a toy in bytes. */
static inline uint64_t hf_toy_size(const struct hf_toy *toy)
{
	if (!toy) {
		return 0; /* } */
	}
	return 1;
}

#endif
"""
KNOWN = {"HF_ERR_" + word for word in ("INVAL", "EMPTY", "RANGE", "NOMEM", "BUSY")}


def parse(text):
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "toy.h")
        path.write_text(text)
        header = headers.parse(path)
        return header, headers.names([header]) | KNOWN


def wanting(text):
    return [what for _, what in headers.wanting(*parse(text))]


class Parse(unittest.TestCase):
    def setUp(self):
        self.header = parse(GOOD)[0]
        self.groups = self.header.groups

    def test_functions(self):
        self.assertEqual([[decl.name for decl in headers.functions(group)]
                          for group in self.groups],
                         [[], [], ["hf_toy_make", "hf_toy_make_more"], ["hf_toy_visit"],
                          ["hf_toy_size"]])
        make = self.groups[2].decls[0]
        self.assertEqual((make.returns, make.line), ("enum hf_status", 25))
        self.assertEqual(make.params, ["struct hf_toy *toy", "uint64_t len", "enum hf_kind kind"])
        self.assertEqual(self.groups[4].decls[0].text,
                         "uint64_t hf_toy_size(const struct hf_toy *toy);")

    def test_comments(self):
        self.assertEqual(self.header.overview, ["Toys: see fork(2)."])
        self.assertEqual(self.groups[0].comment, ["The kinds."])
        self.assertEqual(self.groups[1].decls[0].text, "struct hf_toy; /* a toy */")
        self.assertEqual(self.groups[2].comment[:3],
                         ["Make a toy of `len` bytes. A list:", "- of one thing;", "- of two."])

    def test_constants_go_with_their_type(self):
        self.assertEqual([decl.text.split()[0] for decl in self.groups[0].decls],
                         ["enum", "#define"])

    def test_errors(self):
        self.assertEqual(headers.errors(self.groups[2]), {
            "HF_ERR_INVAL": "kind, or a len (2^7 or so)", "HF_ERR_EMPTY": "",
            "HF_ERR_RANGE": "", "HF_ERR_NOMEM": "while HF_ERR_BUSY would do",
            "HF_ERR_BUSY": ""})


class Holes(unittest.TestCase):
    def finds(self, old, new, *what):
        self.assertIn(old, GOOD)
        self.assertEqual(wanting(GOOD.replace(old, new)), list(what))

    def test_none(self):
        self.assertEqual(wanting(GOOD), [])

    def test_no_comment(self):
        self.finds("/* The size of a toy in bytes. */\n", "", "hf_toy_size: no comment")

    def test_no_overview(self):
        self.finds("/* Toys: see fork(2). */\n", "",
                   "the header does not say what it is for",
                   *(f"{name}: what does it follow: a man page, a manual's section, DESIGN.md?"
                     for name in ("hf_toy_make", "hf_toy_make_more", "hf_toy_visit", "hf_toy_size")))

    def test_no_reference(self):
        self.finds("Toys: see fork(2).", "Toys.",
                   *(f"{name}: what does it follow: a man page, a manual's section, DESIGN.md?"
                     for name in ("hf_toy_make", "hf_toy_make_more", "hf_toy_visit", "hf_toy_size")))

    def test_no_errors(self):
        start, end = GOOD.index(" * More."), GOOD.index(" */\nenum hf_status")
        self.finds(GOOD[start:end], " * More.\n",
                   "hf_toy_make: which HF_ERR_* does it return? (or: Cannot fail.)",
                   "hf_toy_make_more: which HF_ERR_* does it return? (or: Cannot fail.)")

    def test_cannot_fail(self):
        start, end = GOOD.index(" * More."), GOOD.index(" */\nenum hf_status")
        self.finds(GOOD[start:end], " * Cannot fail.\n")

    def test_argument(self):
        self.finds("hf_toy_make_more(struct hf_toy *toy, uint64_t len)",
                   "hf_toy_make_more(struct hf_toy *toy, uint64_t weight)",
                   "hf_toy_make_more: what is weight?")

    def test_argument_that_is_a_function(self):
        self.assertEqual(parse(GOOD)[0].groups[3].decls[0].params,
                         ["struct hf_toy *toy", "bool (*visit)(void *arg, int n)", "uint64_t len"])
        self.finds("Show a toy of `len` to `visit`.", "Show a toy of `len`.", "hf_toy_visit: what is visit?")

    def test_unknown_name(self):
        self.finds("The kinds.", "As hf_toy_break says, with HF_KIND_*.",
                   "the comment speaks of hf_toy_break, which there is not")

    def test_begins_with_an_error(self):
        self.finds("Make a toy", "HF_ERR_NOMEM: a toy",
                   "hf_toy_make: the comment begins with an error and not with what the call does")

    def test_another_kind_of_call(self):
        self.finds("enum hf_status hf_toy_make_more(", "void hf_toy_make_more(",
                   "hf_toy_make_more: the comment is about hf_toy_make; name it there or give it "
                   "its own")


if __name__ == "__main__":
    unittest.main()
