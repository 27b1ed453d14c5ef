# SPDX-License-Identifier: MIT
"""Where scripts/mutation.py finds the place of a mutant, and what it says if there is none."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))
import csource  # noqa: E402
import mutation  # noqa: E402

PINS = """\
/* hf_pin() { } in a comment is no function; nor is "quoted {". */
#define LIMIT(n) \\
	((n) > 3)

enum way { UP, DOWN = 2 };
static const char *const names[] = { "up {", [DOWN] = "down" };
static int count; /* defines nothing to replace */
int hf_pin(int n);

__attribute__((noinline)) static int twice(int n)
{
	return n + n; /* return n + n; */
}

int hf_pin(int n)
{
#ifdef ODD
	n++;
#endif
	struct pair p = { .n = twice(n),
			  .m = n };
	if (LIMIT(n)) {
		return 1;
	}
	return use(&p);
}
"""
OTHER = "static int twice(int n)\n{\n\treturn 2 * n;\n}\n"


def mutate(body):
    """What the two sources become, by a mutant with this body."""
    tree = mutation.Tree(pathlib.Path("/nonexistent"))
    for path, text in (("calls/pin.c", PINS), ("other.c", OTHER)):
        tree.add(csource.Source(path, text))
    mutant, = mutation.read("[name]\nrule: a rule\ntest: tests/test_x case\n" + body)
    edits = tree.edits(mutant)
    return [mutation.apply(source.text, [edit for edit in edits if edit.source is source])
            for source in tree.sources]


class Place(unittest.TestCase):
    def gives(self, body, *replaced):
        text = PINS
        for old, new in replaced:
            self.assertEqual(text.count(old), 1)
            text = text.replace(old, new)
        self.assertEqual(mutate(body), [text, OTHER])

    def breaks(self, body, *words):
        with self.assertRaises(mutation.Broken) as caught:
            mutate(body)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def test_line(self):
        self.gives("in: hf_pin\n- return 1;\n+ return 2;", ("return 1;", "return 2;"))

    def test_line_ends_and_comments_do_not_matter(self):
        self.gives("in: hf_pin\n- = { .n = twice( n ), .m /* m */\n- = n };\n+ = { 0 };",
                   ("= { .n = twice(n),\n\t\t\t  .m = n };", "= { 0 };"))

    def test_lines_around_tell_the_place(self):
        self.gives("in: hf_pin\n  n++;\n- #endif\n- struct\n+ #endif\n+ union",
                   ("#endif\n\tstruct", "#endif\nunion"))

    def test_what_goes_altogether(self):
        self.gives("in: hf_pin\n- n++;", ("n++;", ""))

    def test_several_changes(self):
        self.gives("in: hf_pin\n- 1;\n+ 3;\n\n- &p\n+ 0\nin: twice@pin.c\n- n + n\n+ n",
                   ("return 1;", "return 3;"), ("&p", "0"), ("return n + n; /* r", "return n; /* r"))

    def test_macro_stays_in_its_line(self):
        self.gives("in: LIMIT\n- > 3\n+ > 4 &&\n+ (n) > 5",
                   ("> 3)", "> 4 && \\\n(n) > 5)"))

    def test_enum_and_table(self):
        self.gives("in: way\n- = 2\n+ = 1\nin: names\n- DOWN\n+ UP",
                   ("DOWN = 2", "DOWN = 1"), ("[DOWN]", "[UP]"))

    def test_the_file_follows_from_the_line(self):
        self.assertEqual(mutate("in: twice\n- 2 * n\n+ n")[1], OTHER.replace("2 * n", "n"))

    def test_no_place(self):
        self.breaks("in: hf_pin\n- return 4;", "rules.txt:5: [name] in hf_pin",
                    "calls/pin.c:23 has 'return 1 ; } return'", "not 'return 4 ;'")

    def test_two_places(self):
        self.breaks("in: hf_pin\n- return", "2 times", "calls/pin.c:23", "calls/pin.c:25")
        self.breaks("in: twice\n- return", "2 times", "calls/pin.c:12", "other.c:3")

    def test_no_such_function(self):
        self.breaks("in: hf_pim\n- 1", "no such function", "hf_pin")
        self.breaks("in: hf_pin@other.c\n- 1", "not in other.c, but in calls/pin.c")
        self.breaks("in: count\n- 1", "no such function")

    def test_not_understood(self):
        self.breaks("- 1", "'in:'")
        self.breaks("in: hf_pin\n+ 1", "replaces nothing")
        self.breaks("in: hf_pin\n  1", "changes nothing")
        self.breaks("in: hf_pin", "has no change")
        self.breaks("in: hf_pin\n- 1\n[name]", "a second [name]")
        self.breaks("in: hf_pin\n- 1\n[other]\nrule: r", "[other] has no test:")
        self.breaks("test: alone", "PROGRAM TEST_NAME")
        self.breaks("tset: a b", "what is this? tset: a b")
        self.breaks("in: hf_pin\n- if (LIMIT(n)) {\n+ if (LIMIT(n))", "not as many '{' as '}'")


PROGRAM = """\
static int sum;

static void add(int n)
{
again:
	if (n-- > 0) {
		sum++;
		goto again;
	}
}

int main(void)
{
	add(3);
	return sum;
}
"""


class Weave(unittest.TestCase):
    def test_one_program_has_all(self):
        mutants = mutation.read("""
[double]
rule: adds one at a time
test: tests/test_x case
in: add
- sum++;
+ sum += 2;
in: main
- sum
+ sum + 10

[less]
rule: adds as often as it is told to
test: tests/test_x case
in: add
- n-- > 0
+ n-- > 1
""")
        tree = mutation.Tree(pathlib.Path("/nonexistent"))
        tree.add(csource.Source("sum.c", PROGRAM))
        for mutant in mutants:
            mutant.edits = tree.edits(mutant)
            self.assertTrue(mutation.can_be_woven(mutant.edits))
        with tempfile.TemporaryDirectory() as where:
            command = ["gcc", "-w", "-x", "c", "-", "-o", f"{where}/sum"]
            text = mutation.weave(tree.sources[0], mutants) + mutation.CHOOSE
            subprocess.run(command, input=text.encode(), check=True)
            for name, status in (("", 3), ("double", 16), ("less", 2)):
                env = dict(os.environ, HF_MUTANT=str(mutation.number(name)))
                self.assertEqual(subprocess.run([f"{where}/sum"], env=env).returncode, status)

    def test_not_in_a_body(self):
        tree = mutation.Tree(pathlib.Path("/nonexistent"))
        tree.add(csource.Source("calls/pin.c", PINS))
        for change in ("in: LIMIT\n- 3\n+ 4", "in: hf_pin\n- int hf_pin\n+ long hf_pin",
                       "in: names\n- DOWN\n+ UP"):
            mutant, = mutation.read(f"[n]\nrule: r\ntest: t c\n{change}")
            self.assertFalse(mutation.can_be_woven(tree.edits(mutant)))


if __name__ == "__main__":
    unittest.main()
