#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/limit.py: what it ends, what it does not, and what it says of a program."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LIMIT = os.path.join(ROOT, "scripts", "limit.py")

# Takes hardly any CPU for three seconds: a program beside it goes first.
STARVED = """
import os, time
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
start = time.monotonic()
while time.monotonic() - start < 3: pass
"""


def limit(*argv, env=None, options=()):
    """(exit status, output) of a program under scripts/limit.py."""
    clean = {name: value for name, value in os.environ.items()
             if name not in ("CASES", "CPU", "SLOWER", "TEST")}
    done = subprocess.run([sys.executable, LIMIT, "--exit-status", *options, *argv],
                          stdout=subprocess.PIPE, env=dict(clean, **(env or {})), check=False)
    return done.returncode, done.stdout.decode()


def shell(script, **more):
    return limit("sh", "-c", script, **more)


class Limits(unittest.TestCase):
    def test_spinning_ends_by_cpu(self):
        status, output = shell("while :; do :; done", options=("--cpu", "1"))
        self.assertEqual(status, 1)
        self.assertIn("sh: used more than 1 s of CPU", output)

    def test_spinning_that_ignores_the_signal_ends(self):
        status, output = shell("trap '' XCPU; while :; do :; done",
                               options=("--cpu", "1", "--idle", "4"))
        self.assertEqual(status, 1)
        self.assertIn("used more than 1 s of CPU", output)

    def test_children_count(self):
        """No process of these uses a second."""
        status, output = shell(
            "while :; do sh -c 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done'; done",
            options=("--cpu", "1", "--idle", "2"))
        self.assertEqual(status, 1)
        self.assertIn("used more than 1 s of CPU", output)

    def test_factors(self):
        _, output = shell("while :; do :; done", options=("--cpu", "1"), env={"CPU": "2"})
        self.assertIn("used more than 2 s of CPU", output)

    def test_sleeping_ends_by_the_watchdog(self):
        status, output = limit("sleep", "1000", options=("--idle", "1"))
        self.assertEqual(status, 1)
        self.assertIn("sleep: did nothing for 1 s", output)

    def test_output_is_progress(self):
        status, _ = shell("for i in 1 2 3 4 5; do echo; sleep 0.5; done",
                          options=("--idle", "1.5"))
        self.assertEqual(status, 0)

    def test_starving_is_not_idling(self):
        """A program of this test's spins on the CPU on which the other may run when it is idle."""
        cpu = min(os.sched_getaffinity(0))
        with subprocess.Popen([sys.executable, "-c", "while True: pass"],
                              preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) as spinner:
            try:
                status, output = limit(sys.executable, "-c", STARVED,
                                       options=("--idle", "1"))
            finally:
                spinner.kill()
        self.assertEqual(status, 0, output)


class Leftovers(unittest.TestCase):
    def test_what_is_left_behind_is_killed(self):
        with tempfile.NamedTemporaryFile() as file:
            status, _ = shell(f"sleep 1000 & echo $! >{file.name}")
            self.assertEqual(status, 0)
            self.gone(int(file.read()))

    def test_what_moved_to_another_group_is_killed_with_what_is_ended(self):
        with tempfile.NamedTemporaryFile() as file:
            status, _ = shell(f"set -m; sleep 1000 & echo $! >{file.name}; sleep 1000",
                              options=("--idle", "1"))
            self.assertEqual(status, 1)
            self.gone(int(file.read()))

    def gone(self, pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                self.assertEqual(stat.read().rsplit(")", 1)[1].split()[0], "Z")
        except OSError:
            pass


class Verdicts(unittest.TestCase):
    def test_programs_pass_by_exiting_with_0(self):
        self.assertEqual(limit("true")[0], 0)
        status, output = shell("exit 3")
        self.assertEqual(status, 1)
        self.assertIn("# sh: exit status 3\n", output)
        status, output = shell("kill -SEGV $$")
        self.assertIn("# sh: killed by SIGSEGV\n", output)
        self.assertEqual(limit("/nonexistent")[0], 1)

    def test_tap(self):
        _, output = shell("printf 'ok 1\\nnot ok 2'")
        self.assertEqual([line for line in output.splitlines() if not line.startswith("# CPU")],
                         ["1..1", "# ok 1", "# not ok 2", "ok 1 - sh"])

    def cmocka(self, says):
        return limit("printf", "%b", says, "a_case", env={"CASES": "*"})

    def test_a_case_passes(self):
        status, output = self.cmocka(
            "[==========] Running 1 test(s).\n[       OK ] a_case\n")
        self.assertEqual(status, 0)
        self.assertIn("\nok 1 - a_case\n", output)

    def test_a_case_that_did_not_run_failed(self):
        self.assertEqual(self.cmocka("[==========] Running 0 test(s).\n")[0], 1)
        self.assertEqual(self.cmocka("[==========] Running 2 test(s).\n[       OK ] b\n")[0], 1)
        self.assertEqual(self.cmocka("[==========] Running 1 test(s).\n")[0], 1)
        self.assertEqual(self.cmocka("")[0], 1)

    def test_a_skipped_case_needs_a_reason(self):
        text = "[==========] Running 1 test(s).\n%s[  SKIPPED ] a_case\n"
        status, output = self.cmocka(text % "skipped: no disk\n")
        self.assertEqual(status, 77)
        self.assertIn("\nok 1 - a_case # SKIP no disk\n", output)
        self.assertEqual(self.cmocka(text % "")[0], 1)

    def test_a_failure_names_the_command_that_repeats_it(self):
        self.assertIn("# To run it alone: sh -c 'exit 1'\n", shell("exit 1")[1])
        self.assertIn(f"# To run it alone: meson test -C {os.path.relpath('.', ROOT)} some/a_case\n",
                      limit("false", env={"TEST": "some/a_case"})[1])


if __name__ == "__main__":
    unittest.main()
