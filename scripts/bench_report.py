# SPDX-License-Identifier: MIT
"""What the rows of build/bench.json say: the targets, and the table of the README."""

import os
import pathlib
import time

# Time and size as people read them.
UNITS = {"ns": (1, "time"), "us": (1e3, "time"), "B": (1, "size")}
STEPS = {"time": (1000, ["ns", "us", "ms", "s"]), "size": (1024, ["B", "KiB", "MiB", "GiB"])}


def text(value, unit):
    if value is None:
        return ""
    scale, kind = UNITS[unit]
    step, names = STEPS[kind]
    value *= scale
    while value >= 0.9995 * step and len(names) > 1:
        value /= step
        names = names[1:]
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {names[0]}"


def times(ratio):
    if ratio is None:
        return ""
    if ratio >= 99.5:
        return f"{ratio:,.0f}x"
    return f"{ratio:.2f}x" if ratio < 9.995 else f"{ratio:.1f}x"


def machine():
    """The machine in one line."""
    model = "unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    system = os.uname()
    return f"{model}, {os.cpu_count()} CPUs, {system.sysname} {system.release}"


# ---- targets ----

class Rows:
    """Rows by name, and what the targets ask of them. None where something was not measured."""

    def __init__(self, rows):
        self.rows = {row["name"]: row for row in rows}

    def get(self, name, key):
        return self.rows.get(name, {}).get(key)

    def all(self, prefixes, key):
        values = [row[key] for name, row in self.rows.items()
                  if any(name.startswith(prefix) for prefix in prefixes)]
        return [value for value in values if value is not None]

    def most(self, prefixes, key="holdfast"):
        return max(self.all(prefixes, key), default=None)

    def least(self, prefixes, key="holdfast"):
        return min(self.all(prefixes, key), default=None)

    def range(self, names):
        values = [value for value in (self.get(name, "holdfast") for name in names) if value]
        return max(values) / min(values) if values else None


SIZES = [f"fork-size/{variant}/" for variant in ("4k", "2m", "1g", "2m-zero", "sparse")]
KEPT = [f"fork-size/{variant}/1GiB" for variant in ("objects", "locked", "swapped", "sealed")]
VMAS = [f"fork-size/vmas/{10 ** power}" for power in range(5)]
PINNED = ["fork-pinned/2m/" + size for size in
          ("2MiB", "4MiB", "8MiB", "16MiB", "32MiB", "64MiB", "128MiB", "256MiB", "512MiB", "1GiB")]


def target_list(r):
    """(what, measured, text of measured, at most or at least, limit, text of limit)"""
    def at_most(what, value, limit, show=times):
        return what, value, show(value), "at most", limit, show(limit)

    def at_least(what, value, limit):
        return what, value, times(value), "at least", limit, times(limit)

    def us(value):
        return text(value, "us")

    sizes = [name for name in r.rows if any(name.startswith(size) for size in SIZES)]
    return [
        at_most("fork, 2 MiB to 1 TiB: slowest / fastest", r.range(sizes), 2),
        at_most("fork, 1 to 10,000 mappings: slowest / fastest", r.range(VMAS), 2),
        at_most("fork, 1 GiB shared, locked, swapped or sealed: slowest", r.most(KEPT), 5, us),
        at_most("fork, nothing pinned: slowest", r.most(["fork-size/"]), 5, us),
        at_least("fork, 1 GiB in 4 KiB pages: below Linux's, less its empty fork",
                 r.get("fork-size/4k/1GiB", "ratio_linux_net"), 1000),
        at_least("fork, 4 GiB in 4 KiB pages: the same",
                 r.get("fork-size/4k/4GiB", "ratio_linux_net"), 4000),
        at_most("fork, 2 MiB pages pinned: / memcpy, worst", r.most(PINNED, "ratio_floor"), 1.3),
        at_least("fork, 2 MiB pages pinned: below Linux's, worst",
                 r.least(PINNED, "ratio_linux"), 20),
        at_most("copy-on-write fault, 4 KiB in order: / memcpy",
                r.get("cow-fault/4k/seq", "ratio_floor"), 2),
        at_least("fork and touch all: below Linux's, worst",
                 r.least(["fork-touch-all/"], "ratio_linux"), 1),
        at_most("page tables of a child: largest", r.most(["tables/"]), 8192,
                lambda value: text(value, "B")),
        at_most("access, software TLB hit: slowest", r.most(["access/hit/"]), 3,
                lambda value: text(value, "ns")),
        at_least("Linux port, fork of 1 GiB in 2 MiB pages: below Linux's",
                 r.get("fork-size/2m/1GiB", "ratio_linux_port"), 5),
        at_least("Linux port, the next fork after 1 % was written: below Linux's",
                 r.get("fork-size/2m-second/1GiB", "ratio_linux_port"), 20),
    ]


def targets(rows):
    """The figures that the project aims at, beside what was measured now."""
    lines = ["", f"{'Targets':66}{'measured':>12}   {'':8}{'':>9}"]
    for what, value, measured, bound, limit, limit_text in target_list(Rows(rows)):
        if value is None:
            continue
        met = value <= limit if bound == "at most" else value >= limit
        lines.append(f"  {what:64}{measured:>12}   {bound:8}{limit_text:>9}"
                     f"   {'met' if met else 'MISSED'}")
    return "\n".join(lines) + "\n"


# ---- the README's table ----

def markdown(rows, when):
    """A table of all rows, with the machine and the day."""
    date = time.strftime("%Y-%m-%d", time.gmtime(when))
    lines = [
        f"Measured on {machine()}, {date}, by `make bench`. Medians; ± is half the distance of "
        "the quartiles.",
        "",
        "| | Holdfast, soft port | Holdfast, Linux port | Linux | less its empty fork | floor "
        "| Linux / Holdfast | Holdfast / floor |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        cells = [f"`{row['name']}`"]
        for key in ("holdfast", "holdfast_linux_port", "linux"):
            spread = row["spread"].get(key)
            cell = text(row[key], row["unit"])
            if spread and row[key]:
                cell += f" ±{50 * (spread['q3'] - spread['q1']) / row[key]:.0f}%"
            cells.append(cell)
        cells += [text(row["linux_net"], row["unit"]), text(row["floor"], row["unit"]),
                  times(row["ratio_linux"]), times(row["ratio_floor"])]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
