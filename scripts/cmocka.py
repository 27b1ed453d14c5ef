# SPDX-License-Identifier: MIT
"""Run a cmocka test program and tell what each of its test cases did."""

import os
import re
import signal
import subprocess
import time
from collections import namedtuple

# status is "passed", "failed" or "skipped"; reason is empty for what passed.
Case = namedtuple("Case", "name status reason")
Run = namedtuple("Run", "cases output seconds")


def execute(command, timeout, env=None, cwd=None):
    """Run a command in a process group of its own: (exit status or None, output, seconds)."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=dict(os.environ, **(env or {})), cwd=cwd, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=timeout)
        status = process.returncode
    except subprocess.TimeoutExpired:
        status = None
    finally:
        # A test may have left children behind, on every way out of here.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    if status is None:
        output, _ = process.communicate()
    return status, output.decode(errors="replace"), time.monotonic() - start


def ending(status, timeout):
    """In words, how a program ended."""
    if status is None:
        return f"no end after {timeout:.0f} s"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def skip_reason(lines):
    """What a test printed before skip(): "skip: REASON", or else its last line."""
    lines = [line.strip() for line in lines if line.strip()]
    for line in lines:
        match = re.match(r"skip(?:ped|ping)?:?\s+(.*)", line, re.IGNORECASE)
        if match:
            return match[1]
    return lines[-1] if lines else ""


def parse(output, status, timeout):
    """The cases in the output of a program that ended with `status`."""
    cases, announced, current, lines = [], 0, None, []
    for line in output.splitlines():
        match = re.match(r"\[=+\] (?:.*: )?Running (\d+) test", line)
        if match:
            announced += int(match[1])
        match = re.match(r"\[ RUN +\] (.*)", line)
        if match:
            current, lines = match[1], []
            continue
        # A verdict need not stand at the beginning of its line: tests print, too.
        match = re.match(r"(.*)\[ +(OK|FAILED|SKIPPED|ERROR) +\] (.*)", line)
        if current is None or not match or match[3] != current:
            lines.append(line)
            continue
        lines.append(match[1])
        if match[2] == "OK":
            cases.append(Case(current, "passed", ""))
        elif match[2] == "SKIPPED" and skip_reason(lines):
            cases.append(Case(current, "skipped", skip_reason(lines)))
        elif match[2] == "SKIPPED":
            cases.append(Case(current, "failed", "skipped without giving a reason"))
        else:
            cases.append(Case(current, "failed", ""))
        current = None
    if current is not None:
        cases.append(Case(current, "failed", ending(status, timeout)))
    for _ in range(len(cases), announced):
        cases.append(Case("(others)", "failed", "did not run"))
    if announced == 0:
        cases.append(Case("(program)", "failed", f"ran no test; {ending(status, timeout)}"))
    elif status != 0 and all(case.status != "failed" for case in cases):
        cases.append(Case("(program)", "failed", ending(status, timeout)))
    return cases


def run(command, timeout, env=None, cwd=None):
    """Run a cmocka program to its end."""
    env = dict(env or {}, CMOCKA_MESSAGE_OUTPUT="STDOUT")
    status, output, seconds = execute(command, timeout, env, cwd)
    return Run(parse(output, status, timeout), output, seconds)
