# SPDX-License-Identifier: MIT
"""Holdfast in gdb: `source scripts/gdb/holdfast.py`.

hf-dump MM     the page tables of a space, as hf_mm_dump prints them
hf-vmas MM     its mappings, one a line

`print` shows a struct hf_mm, hf_vma and hf_frame, an hf_pte, hf_pfn and hf_pa in a few words
(`print/r` shows the fields). Memory is only read and no function of the program is called, so all
of it works while locks are held, and on a core file that has the RAM in it.
"""

import struct

import gdb
import gdb.printing

PAGE_SHIFT, TABLE_BITS = 12, 9
ENTRIES = 1 << TABLE_BITS
NIL = 0xffffffff


def size_of_level(level):
    return 1 << (PAGE_SHIFT + level * TABLE_BITS)


# ---- Entries, in the format that the program was built for ----

class Format:
    """struct hf_format as numbers. Each source file has its own copy of the constant; all are
    the same."""

    def __init__(self):
        value = gdb.lookup_static_symbol("hf_format").value()
        for field in value.type.fields():
            if value[field.name].type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
                right = value[field.name]
                setattr(self, field.name, (int(right["bits"]), int(right["give"])))
            else:
                setattr(self, field.name, int(value[field.name]))

    def number(self, e):
        """The frame, or the slot, that an entry names."""
        inverted = 0 if self.present(e) else self.inverted
        return ((e ^ inverted) & self.pfn_bits) >> self.pfn_shift

    def present(self, e):
        return bool(e & self.valid)

    def gives(self, right, e):
        bits, give = right
        return self.present(e) and e & bits == give

    def is_branch(self, e, level):
        return level > 0 and e != 0 and not e & self.swapped and \
            e & self.branch_bits == self.branch_is

    def branch_text(self, e):
        text = f"table {self.number(e):#x} {'W' if self.gives(self.branch_write, e) else '-'}"
        text += " LOOK" if e & self.look else ""
        text += " unarmed" if e & self.unarmed else ""
        return text + (" hidden" if e & self.hidden else "")

    def leaf_text(self, e, kind="page"):
        text = f"{kind} {self.number(e):#x} {'R' if self.present(e) else '-'}"
        text += "W" if self.gives(self.leaf_write, e) else "-"
        text += "X" if self.gives(self.leaf_exec, e) else "-"
        for word in ("hidden", "accessed", "dirty", "lazy"):
            text += f" {word}" if e & getattr(self, word) else ""
        return text

    def text(self, e, level):
        if e == 0:
            return "empty"
        if e & self.swapped:
            return f"swapped slot {self.number(e)}"
        return self.branch_text(e) if self.is_branch(e, level) else self.leaf_text(e)


# ---- Physical memory ----

class Phys:
    """A struct hf_phys, read as far as it is needed."""

    def __init__(self, value):
        self.frame_type = gdb.lookup_type("struct hf_frame")
        self.ranges = []
        for i in range(int(value["ram_count"])):
            ram = value["ram"][i]
            self.ranges.append((int(ram["base"]["v"]) >> PAGE_SHIFT,
                                int(ram["len"]) >> PAGE_SHIFT, int(ram["map"]), ram["meta"]))
        self.zero = [int(value["zero"][i]["v"]) for i in range(2)]

    def range_of(self, pfn):
        for first, count, direct, meta in self.ranges:
            if first <= pfn < first + count:
                return first, count, direct, meta
        raise gdb.GdbError(f"frame {pfn:#x} is not in RAM")

    def frame(self, pfn):
        first, _, _, meta = self.range_of(pfn)
        return (meta.cast(self.frame_type.pointer()) + (pfn - first)).dereference()

    def bytes(self, pfn):
        first, _, direct, _ = self.range_of(pfn)
        at = direct + ((pfn - first) << PAGE_SHIFT)
        return gdb.selected_inferior().read_memory(at, 1 << PAGE_SHIFT).tobytes()

    def is_zero(self, pfn):
        huge = self.zero[1]
        return pfn == self.zero[0] or huge != NIL and pfn & ~(ENTRIES - 1) == huge

    def block(self, pfn, level):
        """The descriptor that has a block's numbers, or None: it is not whole in one range."""
        base = pfn & ~((1 << (level * TABLE_BITS)) - 1)
        first, count, _, _ = self.range_of(pfn)
        if base < first or base + (1 << (level * TABLE_BITS)) > first + count:
            return None
        return self.frame(base + level)

    def maps(self, pfn, level):
        return int(self.block(pfn, level)["block_maps" if level else "maps"])

    def whole_pins(self, pfn):
        block = self.block(pfn, 1)
        return int(block["block_whole"]) if block is not None else 0

    def pins(self, pfn):
        """Of one frame."""
        return int(self.frame(pfn)["pins"]) + self.whole_pins(pfn)

    def pinned_frames(self, pfn, level):
        if level == 0:
            return 1 if self.pins(pfn) else 0
        if level == 1:
            block = self.block(pfn, 1)
            return ENTRIES if int(block["block_whole"]) else int(block["block_pinned"])
        if not int(self.block(pfn, level)["block_pinned"]):
            return 0
        step = 1 << ((level - 1) * TABLE_BITS)
        return sum(self.pinned_frames(pfn + i * step, level - 1) for i in range(ENTRIES))


# ---- A space ----

def space(argument):
    """The struct hf_mm that an expression is, or leads to."""
    value = gdb.parse_and_eval(argument)
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_PTR:
        value = value.dereference()
    if str(value.type.strip_typedefs().unqualified()) != "struct hf_mm":
        raise gdb.GdbError(f"{argument} is no struct hf_mm")
    return value


class Dump:
    """What hf_mm_dump prints."""

    def __init__(self, mm):
        self.mm = mm
        self.format = Format()
        self.phys = Phys(mm["phys"].dereference())
        self.top = self.format.levels - 1

    def lines(self):
        mm = self.mm
        root = int(mm["root"]["v"])
        if frame_kind(int(self.phys.frame(root)["kind"])) != "table":
            raise gdb.GdbError(f"frame {root:#x} is no table; is the RAM in this core file?")
        yield (f"space {int(mm['va_lo']):#014x} to {int(mm['va_hi']):#014x} "
               f"root {root:#x}")
        yield from self.table(root, 0, self.top)

    def table(self, table, base, level):
        run = None  # [va, text, count, the number that continues it]
        for i, (e,) in enumerate(struct.iter_unpack("<Q", self.phys.bytes(table))):
            if e == 0:
                continue
            va = base + i * size_of_level(level)
            number = self.format.number(e)
            if self.format.is_branch(e, level):
                yield from self.end(run, level)
                run = None
                refs = int(self.phys.frame(number)["refs"])
                yield from self.end([va, f"{self.format.branch_text(e)} refs {refs}", 1, 0], level)
                yield from self.table(number, va, level - 1)
                continue
            text, step = self.leaf(e, number, level)
            follows = run and run[3] == number and \
                run[0] + run[2] * size_of_level(level) == va and \
                self.bare(run[1]) == self.bare(text)
            if follows:
                run[2] += 1
                run[3] += step
            else:
                yield from self.end(run, level)
                run = [va, text, 1, number + step]
        yield from self.end(run, level)

    @staticmethod
    def bare(text):
        """Without the number of the frame or slot, which is the last of its head."""
        words = text.split()
        del words[2 if words[0] == "swapped" else 1]
        return words

    def leaf(self, e, number, level):
        """An entry as text, and by how much the number of the next one is larger."""
        if e & self.format.swapped:
            return f"swapped slot {number}", 1
        if self.phys.is_zero(number):
            return self.format.leaf_text(e, "zero"), 0
        text = f"{self.format.leaf_text(e)} maps {self.phys.maps(number, level)}"
        pins = self.phys.pinned_frames(number, level) if level else self.phys.pins(number)
        if pins:
            text += f" {'pinned' if level else 'pins'} {pins}"
        return text, 1 << (level * TABLE_BITS)

    def end(self, run, level):
        if run:
            va, text, count, _ = run
            more = f" x {count}" if count > 1 else ""
            yield f"{'  ' * (self.top - level)}L{level} {va:#014x} {text}{more}"


class DumpCommand(gdb.Command):
    """hf-dump MM: the page tables of a space, a line an entry (as hf_mm_dump prints them)."""

    def __init__(self):
        super().__init__("hf-dump", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        for line in Dump(space(argument)).lines():
            print(line)


# ---- Mappings ----

def vma_flags():
    """(bit, word) of each flag of enum hf_vma_flags, the protection and what is obvious apart."""
    for field in gdb.lookup_type("enum hf_vma_flags").fields():
        word = field.name.replace("HF_VMA_", "").lower()
        if word not in ("prot", "object"):
            yield field.enumval, word


def vma_text(start, end, flags, place):
    """A line much as in /proc/PID/maps; `place` tells of the object."""
    rights = "".join(letter if flags & bit else "-" for bit, letter in ((1, "r"), (2, "w"), (4, "x")))
    words = "".join(f" {word}" for bit, word in vma_flags() if flags & bit)
    return f"{start:#014x}-{end:#014x} {rights}{words}{place}"


def vmas(phys, root):
    """The mappings below a node of the tree, which src/space/vma.c describes."""
    if root == NIL:
        return
    first, _, direct, _ = phys.range_of(root)
    # Several files may have a struct of that name.
    file = gdb.lookup_global_symbol("hf_vmas_get").symtab
    kind = gdb.lookup_type("struct node", file.static_block())
    node = gdb.Value(direct + ((root - first) << PAGE_SHIFT)).cast(kind.pointer()).dereference()
    for i in range(int(node["count"])):
        slot = node["slots"][i]
        if int(node["height"]):
            yield from vmas(phys, int(slot["child"]))
            continue
        place = ""
        if int(slot["object"]) != NIL:
            place = f" object {int(slot['object']):#x} offset {int(slot['offset']):#x}"
        yield vma_text(int(slot["start"]), int(slot["end"]), int(slot["flags"]), place)


class VmasCommand(gdb.Command):
    """hf-vmas MM: the mappings of a space, as the tree has them."""

    def __init__(self):
        super().__init__("hf-vmas", gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        mm = space(argument)
        for line in vmas(Phys(mm["phys"].dereference()), int(mm["vmas"]["v"])):
            print(line)


# ---- Printers ----

class Printer:
    def __init__(self, value):
        self.value = value

    def number(self, *path):
        value = self.value
        for name in path:
            value = value[name]
        return int(value)


class MmPrinter(Printer):
    def to_string(self):
        text = f"space {self.number('va_lo'):#x} to {self.number('va_hi'):#x}"
        text += f" root {self.number('root', 'v'):#x}"
        tree = self.number("vmas", "v")
        text += " no mappings" if tree == NIL else f" vmas {tree:#x}"
        for name in ("truncating", "moved", "locks_stale"):
            text += f" {name}" if self.number(name) else ""
        for name in ("mapped_bytes", "locked_bytes"):
            text += f" {name} {self.number(name)}" if self.number(name) else ""
        return text


class VmaPrinter(Printer):
    def to_string(self):
        place = ""
        if self.number("object"):
            place = f" object {self.number('object'):#x} offset {self.number('offset'):#x}"
        return vma_text(self.number("start"), self.number("end"), self.number("flags"), place)


class PtePrinter(Printer):
    """An entry does not know its level; where that matters, it is shown as on 0 and as above."""

    def to_string(self):
        fmt, e = Format(), self.number("v")
        low, high = fmt.text(e, 0), fmt.text(e, 1)
        return low if low == high else f"{low}, or above level 0: {high}"


def frame_kind(number):
    """The word of enum hf_frame_kind for a number."""
    for field in gdb.lookup_type("enum hf_frame_kind").fields():
        if field.enumval == number:
            return field.name.replace("HF_FRAME_", "").lower()
    return f"kind {number}"


class FramePrinter(Printer):
    def to_string(self):
        text = frame_kind(self.number("kind"))
        if text in ("free", "host", "page"):
            text += f" order {self.number('order')}"
        elif text in ("table", "node", "object"):
            text += f" refs {self.number('refs')}"
        elif text == "cached":
            text += f" slot {self.number('slot')}"
        for name in ("maps", "pins", "block_maps", "block_whole", "block_pinned", "block_inner"):
            text += f" {name} {self.number(name)}" if self.number(name) else ""
        return text


class PfnPrinter(Printer):
    def to_string(self):
        return "none" if self.number("v") == NIL else f"frame {self.number('v'):#x}"


class PaPrinter(Printer):
    def to_string(self):
        return f"{self.number('v'):#x}"


PRINTERS = {"hf_mm": MmPrinter, "hf_vma": VmaPrinter, "hf_frame": FramePrinter,
            "hf_pte": PtePrinter, "hf_pfn": PfnPrinter, "hf_pa": PaPrinter}


def printer_of(value):
    """By the name of the type as it was written: hf_pte and its like are structs without one."""
    kind = value.type.unqualified()
    name = kind.name if kind.code == gdb.TYPE_CODE_TYPEDEF else kind.strip_typedefs().tag
    return PRINTERS[name](value) if name in PRINTERS else None


gdb.pretty_printers.append(printer_of)
DumpCommand()
VmasCommand()
