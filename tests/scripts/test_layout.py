#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/layout: arrows that climb and circles are found, in symbols and in includes."""

import importlib.machinery
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
SCRIPT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts" / "layout"
sys.path.insert(0, str(SCRIPT.parent))
loader = importlib.machinery.SourceFileLoader("layout", str(SCRIPT))
layout = importlib.util.module_from_spec(importlib.util.spec_from_loader("layout", loader))
loader.exec_module(layout)


class Arrows(unittest.TestCase):
    def climbing(self, file, target):
        return list(layout.climbing({file: {target: "hf_x"}, target: {}}))

    def test_down_and_within(self):
        self.assertEqual(self.climbing("calls/brk.c", "space/vma.c"), [])
        self.assertEqual(self.climbing("calls/brk.c", "calls/mmap.c"), [])

    def test_up(self):
        self.assertEqual(self.climbing("phys/buddy.c", "table/walk.c"),
                         ["phys/buddy.c uses table/walk.c, which is not below it: hf_x"])

    def test_beside(self):
        self.assertEqual(len(self.climbing("fork/fork.c", "report/check.c")), 1)
        self.assertEqual(len(self.climbing("arch/entry.h", "lib/atomic.h")), 1)

    def test_a_new_folder(self):
        self.assertEqual(self.climbing("attic/box.c", "lib/lock.c"),
                         ["attic/ is in no storey of scripts/layout"])

    def test_circles(self):
        straight = {"a": {"b": "f", "c": "g"}, "b": {"c": "g"}, "c": {}}
        self.assertEqual(list(layout.circles(straight)), [])
        self.assertEqual(list(layout.circles(dict(straight, c={"a": "h"}))), [
            "a circle of a, b, c", "    a uses b: f", "    a uses c: g", "    b uses c: g",
            "    c uses a: h"])


class Sources(unittest.TestCase):
    def test_symbols(self):
        with tempfile.TemporaryDirectory() as name:
            top = pathlib.Path(name)
            objects = []
            for stem, text in (("phys_low", "int low(void) { return 1; } static int own;"
                                            "int *at(void) { return &own; }"),
                               ("calls_high_up", "int low(void); int high(void) { return low(); }")):
                objects.append(str(top / f"{stem}.c.o"))
                subprocess.run(["gcc", "-x", "c", "-", "-c", "-o", objects[-1]],
                               input=text.encode(), check=True)
            for kind in ("rcs", "rcsT"):
                archive = top / f"{kind}.a"
                subprocess.run(["ar", kind, str(archive), *objects], check=True)
                self.assertEqual(layout.uses(archive), {
                    "phys/low.c": {}, "calls/high_up.c": {"phys/low.c": "low"}})

    def test_includes(self):
        with tempfile.TemporaryDirectory() as name:
            top = pathlib.Path(name).resolve()
            (top / "lib").mkdir()
            (top / "calls").mkdir()
            (top / "lib/a.h").write_text("")
            (top / "calls/b.h").write_text('#include <stdio.h>\n#include "../lib/a.h"\n')
            (top / "calls/b.c").write_text('# include "b.h"\n#include "lib/a.h"\n')
            self.assertEqual({file: list(to) for file, to in layout.includes(top).items()}, {
                "lib/a.h": [], "calls/b.h": ["lib/a.h"], "calls/b.c": ["calls/b.h", "lib/a.h"]})

    def test_publishers(self):
        with tempfile.TemporaryDirectory() as name:
            top = pathlib.Path(name).resolve()
            for folder, file in (("table", "table.h"), ("space", "move.c"), ("space", "edit.c")):
                (top / folder).mkdir(exist_ok=True)
                (top / folder / file).write_text("\nhf_pte_set(p, hf_branch_mkwrite(e));\n")
            (top / "space/edit.c").write_text("hf_publish(phys, p, level, e);\n")
            self.assertEqual([where.split()[0] for where in layout.publishers(top)],
                             ["space/move.c:2"])


if __name__ == "__main__":
    unittest.main()
