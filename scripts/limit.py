#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run one test within limits that a busy machine does not reach, and tell TAP what it did.

scripts/limit.py [--cpu SECONDS] [--idle SECONDS] [--exit-status] PROGRAM [ARGUMENT...]

A program ends too late when it, with its children, has used --cpu seconds of CPU, or has sat
for --idle seconds: no output, no CPU used, nothing that could run or waits for a disk. One that
is merely not let run is runnable, and so not idle. Then its whole session is killed; what it leaves
behind in its process group is killed in any case.

With CASES in the environment the program is a cmocka program, and its last argument names the
one case to run; others pass by exiting with 0. CPU and SLOWER in the environment are factors for
--cpu: of the test, and of the build. TEST is its name in `meson test`.
The exit status says nothing of the test, as TAP wants it, but with --exit-status: 0 passed,
1 failed, 77 skipped.
"""

import collections
import os
import resource
import select
import signal
import sys
import time

STEP = 2  # seconds between two looks at the processes


class Family:
    """A program and all processes of its session."""

    def __init__(self, argv, cpu, cwd):
        self.out, out = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self.become(argv, cpu, cwd, out)
        os.close(out)
        self.end = os.pidfd_open(self.pid)

    @staticmethod
    def become(argv, cpu, cwd, out):
        """In the child: never returns, whatever is wrong."""
        try:
            os.setsid()
            os.chdir(cwd)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            # The kernel keeps the limit for each process, even while this one is not let run.
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            wanted = cpu if hard == resource.RLIM_INFINITY else min(cpu, hard)
            resource.setrlimit(resource.RLIMIT_CPU, (wanted, hard))
            os.execvp(argv[0], argv)
        except BaseException as error:  # pylint: disable=broad-except
            os.write(2, f"{argv[0]}: {error}\n".encode())
        finally:
            os._exit(127)

    def kill(self, every=True):
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        for pid, _, _ in self.processes() if every else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def processes(self):
        """(pid, state, ticks of CPU used, with those of children waited for) of each."""
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", "rb") as stat:
                    fields = stat.read().rsplit(b")", 1)[1].split()
            except (OSError, IndexError):
                continue
            if int(fields[3]) == self.pid:
                yield int(name), fields[0], sum(map(int, fields[11:15]))

    def look(self):
        """(could one of the threads run now, seconds of CPU used)"""
        able, ticks = False, 0
        for pid, _, used in self.processes():
            ticks += used
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/stat", "rb") as stat:
                        able |= stat.read().rsplit(b")", 1)[1].split()[0] in (b"R", b"D")
            except (OSError, IndexError):
                pass
        return able, ticks / os.sysconf("SC_CLK_TCK")


Run = collections.namedtuple("Run", "status cpu output why")


def run(argv, cpu, idle, cwd="."):
    """Run a program to its end. `status` is as of os.waitstatus_to_exitcode(), `cpu` in seconds,
    `why` empty unless it was ended.
    """
    family = Family(argv, cpu, cwd)
    try:
        output, why = watch(family, cpu, idle)
    except BaseException:
        family.kill()
        raise
    family.kill(every=bool(why))
    _, status, usage = os.wait4(family.pid, 0)
    output += rest(family.out)
    os.close(family.out)
    os.close(family.end)
    if not why and os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        why = f"used more than {cpu} s of CPU"
    return Run(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime,
               b"".join(output).decode(errors="replace"), why)


def rest(pipe):
    """What was written before the end, or by what has left the session."""
    os.set_blocking(pipe, False)
    while True:
        try:
            text = os.read(pipe, 65536)
        except BlockingIOError:
            return
        if not text:
            return
        yield text


def watch(family, cpu, idle):
    """Until it ends by itself, or has to: (output, why)."""
    poll = select.poll()
    poll.register(family.out, select.POLLIN)
    poll.register(family.end, select.POLLIN)
    step = min(STEP, idle / 4)
    output, why = [], ""
    busy = looked = time.monotonic()  # busy: when it was last seen to get on
    before = 0
    while not why:
        ready = dict(poll.poll(step * 1000))
        now = time.monotonic()
        if family.out in ready:
            text = os.read(family.out, 65536)
            output.append(text)
            busy = now
            if not text:
                poll.unregister(family.out)
        elif family.end in ready:
            break
        if now - looked >= step:
            looked = now
            able, used = family.look()
            if able or used > before + idle / 100:
                busy, before = now, used
            if used > cpu:
                why = f"used more than {cpu} s of CPU"
            elif now - busy > idle:
                why = f"did nothing for {idle:g} s: no output, no CPU used, nothing runnable"
    return output, why


def skip_reason(output):
    """What a test printed before skip(): "skipped: REASON"."""
    for line in output.splitlines():
        at = line.find("skipped: ")
        if at >= 0:
            return line[at + len("skipped: "):].strip()
    return ""


def ending(status):
    """In words, how a program ended."""
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def judge(status, output, why, is_case):
    """(passed, failed or skipped; why)"""
    if why:
        return "failed", why
    if status == 77 and not is_case:
        return "skipped", skip_reason(output) or "no reason given"
    if status:
        return "failed", ending(status)
    if is_case:
        if "Running 1 test(s)." not in output:
            return "failed", "there is no such case, or more than one"
        if "[  SKIPPED ]" in output:
            reason = skip_reason(output)
            return ("skipped", reason) if reason else ("failed", "skipped without a reason")
        if "[       OK ]" not in output:
            return "failed", "its end was not seen"
    return "passed", ""


def alone(argv):
    """The command that runs this test alone."""
    if "TEST" in os.environ:
        return f"meson test -C {os.path.relpath(os.getcwd(), ROOT)} {os.environ['TEST']}"
    import shlex  # slow, and seldom needed
    return shlex.join(argv)


ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))


def factor(name):
    return int(os.environ.get(name, 1))


def main(args):
    cpu, idle, exit_status = 60, 120, False
    while args and args[0].startswith("--"):
        option = args.pop(0)
        if option == "--cpu":
            cpu = int(args.pop(0))
        elif option == "--idle":
            idle = float(args.pop(0))
        elif option == "--exit-status":
            exit_status = True
        else:
            sys.exit(__doc__)
    if not args:
        sys.exit(__doc__)
    is_case = "CASES" in os.environ
    name = args[-1] if is_case else os.path.basename(args[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
    done = run(args, cpu * factor("CPU") * factor("SLOWER"), idle)
    verdict, why = judge(done.status, done.output, done.why, is_case)
    lines = ["1..1", *("# " + line for line in done.output.splitlines()),
             f"# CPU: {done.cpu:.2f} s"]
    if verdict == "failed":
        lines += [f"# {name}: {why}", f"# To run it alone: {alone(args)}"]
    lines.append({"passed": f"ok 1 - {name}", "failed": f"not ok 1 - {name}",
                  "skipped": f"ok 1 - {name} # SKIP {why}"}[verdict])
    sys.stdout.write("\n".join(lines) + "\n")
    return {"passed": 0, "failed": 1, "skipped": 77}[verdict] if exit_status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
