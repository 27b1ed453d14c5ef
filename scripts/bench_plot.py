# SPDX-License-Identifier: MIT
"""Curves and bars of build/bench.json, drawn by gnuplot as SVG."""

import shutil
import subprocess

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
SUFFIX = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": TIB}

# Colours that those who cannot tell red from green can tell apart (Okabe and Ito).
HOLDFAST, PORT, LINUX, FLOOR = "#0072b2", "#56b4e9", "#d55e00", "#999999"
SIDES = [("holdfast", "Holdfast", HOLDFAST), ("holdfast_linux_port", "Holdfast, Linux port", PORT),
         ("linux", "Linux", LINUX), ("floor", "floor", FLOOR)]

HEAD = """set terminal svg size 800,500 dynamic font "sans,13" background "#ffffff"
set output "{path}"
set title "{title}"
set key below
set grid ytics lc rgb "#dddddd"
set border 3 lc rgb "#666666"
set tics nomirror
set logscale y
set format y "%.0s %c{unit}"
"""


def number(text):
    """"64MiB" or "1000"."""
    for suffix in sorted(SUFFIX, key=len, reverse=True):
        if text.endswith(suffix):
            return float(text[:-len(suffix)]) * SUFFIX[suffix]
    return float(text)


def seconds(row, key):
    return row[key] * {"us": 1e-6, "ns": 1e-9, "B": 1}[row["unit"]]


def curve(rows, prefix, key):
    """Points (x, y, low, high) of the rows whose names are the prefix and a size."""
    points = []
    for row in rows:
        rest = row["name"][len(prefix):]
        if not row["name"].startswith(prefix) or "/" in rest or row[key] is None:
            continue
        spread, scale = row["spread"][key], seconds(row, key) / row[key] if row[key] else 1
        points.append((number(rest), seconds(row, key), spread["q1"] * scale,
                       spread["q3"] * scale))
    return sorted(points)


def curves(rows, path, title, xlabel, lines, xlog=2):
    """One plot of several curves: (prefix, key, label, colour, dash)."""
    script, plots = [HEAD.format(path=path, title=title, unit="s")], []
    script.append(f'set xlabel "{xlabel}"\nset logscale x {xlog}\n')
    if xlog == 2:
        ticks = ", ".join(f'"{size} {unit}" {size * SUFFIX[unit]}' for size, unit in
                          [(4, "KiB"), (64, "KiB"), (2, "MiB"), (16, "MiB"), (128, "MiB"),
                           (1, "GiB"), (16, "GiB"), (128, "GiB"), (1, "TiB")])
        script.append(f"set xtics rotate by -30 ({ticks})\n")
    for index, (prefix, key, label, colour, dash) in enumerate(lines):
        points = [point for point in curve(rows, prefix, key) if point[0] > 0 and point[1] > 0]
        if not points:
            continue
        script.append(f"$d{index} << E\n" + "".join("%g %g %g %g\n" % p for p in points) + "E\n")
        plots.append(f'$d{index} with yerrorlines lc rgb "{colour}" dt {dash} lw 2 pt 7 ps 0.5 '
                     f'title "{label}"')
    if not plots:
        return None
    return "".join(script) + "plot " + ", \\\n".join(plots) + "\n"


def bars(rows, path, title, prefix):
    """One group of bars for each row."""
    chosen = [row for row in rows if row["name"].startswith(prefix)]
    if not chosen:
        return None
    script = [HEAD.format(path=path, title=title, unit="s"),
              "set style data histogram\nset style histogram clustered gap 1\n"
              "set style fill solid 0.9 noborder\nset boxwidth 0.9\nset xtics rotate by -35\n"
              "$d << E\n"]
    sides = [side for side in SIDES if any(row[side[0]] for row in chosen)]
    for row in chosen:
        cells = [f'"{row["name"][len(prefix):]}"']
        cells += ["%g" % seconds(row, key) if row[key] else "NaN" for key, _, _ in sides]
        script.append(" ".join(cells) + "\n")
    script.append("E\nplot " + ", ".join(
        f'$d using {column + 2}:xtic(1) lc rgb "{colour}" title "{label}"'
        for column, (_, label, colour) in enumerate(sides)) + "\n")
    return "".join(script)


def plots(rows, folder):
    variants = [("4k", "4 KiB pages", 1), ("2m", "2 MiB pages", 2), ("2m-zero", "zero pages", 3),
                ("sparse", "sparse", 4)]
    sizes = [(f"fork-size/{variant}/", key, f"{side}, {label}", colour, dash)
             for key, side, colour in SIDES[::2] for variant, label, dash in variants]
    yield curves(rows, folder / "fork-size.svg", "fork by size of the address space",
                 "mapped", sizes)
    yield curves(rows, folder / "fork-vmas.svg", "fork by number of mappings", "mappings",
                 [("fork-size/vmas/", key, side, colour, 1) for key, side, colour in SIDES[::2]],
                 10)
    yield curves(rows, folder / "fork-pinned.svg", "fork of 1 GiB by what a device holds of it",
                 "pinned", [("fork-pinned/2m/", key, side, colour, 1)
                            for key, side, colour in SIDES])
    for name, title in [("cow-fault", "first write to a page after fork"),
                        ("fork-touch-all", "fork, then touch every 4 KiB"),
                        ("access", "load or store of 8 bytes"),
                        ("pin", "pin and unpin, per 4 KiB page")]:
        yield bars(rows, folder / f"{name}.svg", title, name + "/")


def draw(rows, folder):
    """Draw what there are rows for; returns what to say about it."""
    gnuplot = shutil.which("gnuplot") or shutil.which("gnuplot-nox")
    if not gnuplot:
        return "no plots (gnuplot is missing)"
    count = 0
    for script in plots(rows, folder):
        if not script:
            continue
        done = subprocess.run([gnuplot], input=script, text=True, capture_output=True)
        if done.returncode:
            return f"no plots (gnuplot: {done.stderr.strip().splitlines()[-1]})"
        count += 1
    return f"{count} plots in build/{folder.name}"
