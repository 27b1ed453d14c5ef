# SPDX-License-Identifier: MIT
"""What the documents point to is there: files by relative links, and functions by links of the
form [`function`](file.c), which say that the file defines the function."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("tests/*/README.md")])

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(text):
    """The anchors of a document's headings, as forges make them."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def defines(path, function):
    """A definition begins in the first column and is not a declaration."""
    return any(not rest.startswith(";") for rest in re.findall(
        rf"^[a-z][^;\n]*\b{function}\((?:[^()]|\([^()]*\))*\)\s*(.)", path.read_text(),
        re.MULTILINE | re.DOTALL))


def wrong(document):
    text = CODE.sub("", document.read_text())
    links = LINK.findall(text) + [("", src) for src in re.findall(r'src="([^"]+)"', text)]
    for words, target in links:
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        if not path.exists():
            yield f"{target}: there is no such file"
        elif anchor and anchor not in anchors(path.read_text()):
            yield f"{target}: there is no such heading"
        elif re.fullmatch(r"`\w+`", words) and path.suffix in (".c", ".h"):
            if not defines(path, words.strip("`")):
                yield f"{target} does not define {words}"


class Links(unittest.TestCase):
    def test_what_is_pointed_to_is_there(self):
        for document in DOCUMENTS:
            with self.subTest(document=document.name):
                self.assertEqual(list(wrong(document)), [])

    def test_the_readme_leads_to_functions(self):
        functions = [words for words, _ in LINK.findall((ROOT / "README.md").read_text())
                     if re.fullmatch(r"`\w+`", words)]
        self.assertIn("`hf_fork_decide`", functions)

    def test_a_declaration_is_no_definition(self):
        self.assertTrue(defines(ROOT / "src/fork/survey.c", "hf_fork_decide"))
        self.assertFalse(defines(ROOT / "src/fork/survey.h", "hf_fork_decide"))
        self.assertTrue(defines(ROOT / "src/arch/entry.h", "hf_pte_leaf"))
        self.assertFalse(defines(ROOT / "src/fork/fork.c", "hf_pte_leaf"))

    def test_the_design_has_every_rule_of_the_check(self):
        rules = re.findall(r'"([a-z]+(?:-[a-z]+)+)"', (ROOT / "src/report/check.c").read_text())
        design = (ROOT / "DESIGN.md").read_text()
        self.assertGreater(len(rules), 30)
        self.assertEqual([rule for rule in rules if rule not in design], [])

    def test_comments_name_documents_that_there_are(self):
        named = {name for header in ROOT.glob("include/holdfast/*.h")
                 for name in re.findall(r"\bdocs/[\w.-]+\.md\b", header.read_text())}
        self.assertIn("docs/porting.md", named)
        self.assertEqual([name for name in sorted(named) if not (ROOT / name).exists()], [])


if __name__ == "__main__":
    unittest.main()
