#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/amalgamate: what it finds twice, and what it leaves where it stands."""

import importlib.machinery
import importlib.util
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts" / "amalgamate"
loader = importlib.machinery.SourceFileLoader("amalgamate", str(SCRIPT))
amalgamate = importlib.util.module_from_spec(importlib.util.spec_from_loader("amalgamate", loader))
loader.exec_module(amalgamate)


class Files(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        amalgamate.ROOT = pathlib.Path(self.directory.name).resolve()

    def file(self, name, text):
        path = amalgamate.ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(amalgamate.LICENCE + text)
        return path

    def twice(self, one, other):
        return list(amalgamate.twice([self.file("src/a.c", one), self.file("src/b.c", other)]))

    def test_names(self):
        for text in ("static int same(int x)\n{\n}\n",
                     "static struct hf_mm *same(struct hf_mm *mm,\n\t\t void (*f)(int))\n{\n}\n",
                     "void same(void)\n\tREQUIRES(lock)\n{\n}\n",
                     "static const int same[2] = { 0 };\n",
                     "#define same 1\n"):
            self.assertEqual(self.twice(text, "#define same(x) 2\n"),
                             ["same is defined in src/a.c and in src/b.c"], text)
        self.assertEqual(self.twice("struct same {\n};\n", "enum same {\n};\n"),
                         ["the type same is defined in src/a.c and in src/b.c"])

    def test_what_is_no_definition(self):
        for text in ("void same(void);\n", "static int f(void)\n{\n\tsame(1);\n}\n",
                     "struct same *f(void)\n{\n}\n", "struct same {\n};\n",
                     "static int f(void)\n{\n\tif (same(1)) {\n\t}\n}\n"):
            self.assertEqual(self.twice(text, "#define same(x) 2\n"), [], text)

    def test_order(self):
        self.file("src/low.h", "#ifndef LOW\n#define LOW\nlow\n#endif\n")
        self.file("src/odd.h", '#ifndef ODD\n#define ODD\n#include "low.h"\nodd\n#endif\n')
        self.file("src/choice.h", '#ifndef CHOICE\n#define CHOICE\n#ifdef X\n#include "odd.h"\n'
                                  "#else\neven\n#endif\n#endif\n")
        output = amalgamate.Output(False)
        for name in ("a.c", "b.c"):
            output.add(self.file(f"src/{name}", '#include <holdfast/mm.h>\n#include <stddef.h>\n'
                                                f'#include "choice.h"\n#include "low.h"\n{name}\n'))
        words = [line for line in output.text.splitlines()
                 if line and not line.startswith(("/*", "#ifndef", "#define", "#endif"))]
        self.assertEqual(words, ["low", "#ifdef X", "odd", "#else", "even",
                                 "#include <stddef.h>", "a.c", "#include <stddef.h>", "b.c"])


if __name__ == "__main__":
    unittest.main()
