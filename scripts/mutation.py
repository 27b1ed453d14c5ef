# SPDX-License-Identifier: MIT
"""The mutants of tests/mutants/rules.txt, and where each of them changes the sources."""

import collections
import difflib
import pathlib
import re
import zlib

import csource

ROOT = pathlib.Path(__file__).resolve().parent.parent
RULES = ROOT / "tests" / "mutants" / "rules.txt"
SOURCES = ["src", "ports"]
USUAL_FORMAT = "x86_64"

# One replacement: `old` becomes `new`, both lists of lines, in the declaration `name` of a file
# whose path ends in `file`. `line` is where the rules have it.
Change = collections.namedtuple("Change", "name file old new line")
# The same found in a source: the text from start to end becomes `text`.
Edit = collections.namedtuple("Edit", "source declaration start end text change")
Test = collections.namedtuple("Test", "format program name")


class Broken(Exception):
    """A mutant that says nothing of this tree, and why."""


class Mutant:
    def __init__(self, name, line):
        self.name, self.line = name, line
        self.rule, self.formats, self.named, self.changes = "", [], [], []

    def tests(self):
        return [Test(fmt, *test) for fmt in self.formats or [USUAL_FORMAT] for test in self.named]

    def content(self):
        """All that is said of it, but for the line it stands in."""
        return repr([self.name, self.rule, self.tests(),
                     [change._replace(line=0) for change in self.changes]])


def read(text):
    """Every mutant in the text of the rules. Raises Broken where it is not to be understood."""
    mutants, where, block = [], None, None

    def wrong(number, what):
        raise Broken(f"{RULES.name}:{number}: {what}")

    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\[([\w-]+)\]\s*$", line)
        field = re.match(r"(rule|format|test|in): *(.*?)\s*$", line)
        if line[:1] in ("-", "+", " ") and line.strip():
            if not where:
                wrong(number, "code without an 'in:' above it")
            if block is None:
                block = Change(*where, [], [], number)
                mutants[-1].changes.append(block)
            if line[0] != "+":
                block.old.append(line[1:].removeprefix(" "))
            if line[0] != "-":
                block.new.append(line[1:].removeprefix(" "))
            continue
        block = None
        if not line.strip() or line.startswith("#"):
            continue
        if head:
            if any(mutant.name == head[1] for mutant in mutants):
                wrong(number, f"a second [{head[1]}]")
            mutants.append(Mutant(head[1], number))
            where = None
        elif not field or not mutants:
            wrong(number, f"what is this? {line}")
        elif field[1] == "rule":
            mutants[-1].rule = f"{mutants[-1].rule} {field[2]}".strip()
        elif field[1] == "format":
            mutants[-1].formats += field[2].split()
        elif field[1] == "test":
            if len(field[2].split()) != 2:
                wrong(number, "not 'test: PROGRAM TEST_NAME'")
            mutants[-1].named.append(tuple(field[2].split()))
        else:
            name, _, file = field[2].partition("@")
            where = (name, file)
    for mutant in mutants:
        for what, there in (("rule:", mutant.rule), ("test:", mutant.named),
                            ("change", mutant.changes)):
            if not there:
                wrong(mutant.line, f"[{mutant.name}] has no {what}")
        for change in mutant.changes:
            if not csource.tokens("\n".join(change.old)):
                wrong(change.line, f"[{mutant.name}] replaces nothing")
            if change.old == change.new:
                wrong(change.line, f"[{mutant.name}] changes nothing")
    return mutants


class Tree:
    """The sources that mutants may change."""

    def __init__(self, root=ROOT):
        self.sources = []
        self.declarations = collections.defaultdict(list)
        for path in sorted(path for top in SOURCES for path in (root / top).rglob("*.[ch]")):
            self.add(csource.Source(path.relative_to(root), path.read_text()))

    def add(self, source):
        self.sources.append(source)
        for declaration in source.declarations:
            for name in declaration.names:
                self.declarations[name].append(declaration)

    def edits(self, mutant):
        """Where the mutant's changes belong. Raises Broken unless each has one place."""
        edits = [self.edit(mutant, change) for change in mutant.changes]
        for edit in edits:
            for pair in ("()", "[]", "{}"):
                if sum(unclosed(other.text, pair) - unclosed(other.source.text[
                        other.start:other.end], pair)
                       for other in edits if other.declaration is edit.declaration):
                    raise Broken(f"{RULES.name}:{edit.change.line}: [{mutant.name}] leaves not as "
                                 f"many '{pair[0]}' as '{pair[1]}' in {edit.change.name}")
        return edits

    def edit(self, mutant, change):
        def broken(what):
            return Broken(f"{RULES.name}:{change.line}: [{mutant.name}] in {change.name}: {what}")

        wanted = [declaration for declaration in self.declarations.get(change.name, [])
                  if str(declaration.source.path).endswith(change.file)]
        if not wanted:
            raise broken(self.no_declaration(change))
        old = [token.text for token in csource.tokens("\n".join(change.old))]
        found = [(declaration, declaration.first + at) for declaration in wanted
                 for at in matches(declaration.texts(), old)]
        if not found:
            raise broken("its old lines are not there; " + nearest(wanted, old))
        if len(found) > 1:
            raise broken(f"its old lines are there {len(found)} times, give more of what is "
                         "around them: " + ", ".join(place(d.source, at) for d, at in found))
        declaration, first = found[0]
        tokens = declaration.source.tokens
        return Edit(declaration.source, declaration, tokens[first].start,
                    tokens[first + len(old) - 1].end, code(declaration, change.new), change)

    def no_declaration(self, change):
        elsewhere = self.declarations.get(change.name)
        if elsewhere:
            return f"it is not in {change.file}, but in " + \
                   ", ".join(str(declaration.source.path) for declaration in elsewhere)
        like = difflib.get_close_matches(change.name, self.declarations, 3)
        return "there is no such function" + (f"; like it: {', '.join(like)}" if like else "")


def code(declaration, lines):
    text = "\n".join(lines)
    # A macro ends with its line.
    macro = declaration.source.tokens[declaration.first].text == "#"
    return text.strip().replace("\n", " \\\n" if macro else "\n")


def unclosed(text, pair):
    texts = [token.text for token in csource.tokens(text)]
    return texts.count(pair[0]) - texts.count(pair[1])


def matches(texts, old):
    """Where in a list of tokens another list stands."""
    return [i for i in range(len(texts) - len(old) + 1)
            if texts[i] == old[0] and texts[i:i + len(old)] == old]


def nearest(declarations, old):
    """In words, where most of the beginning of `old` is, and what stands there instead."""
    best, at, declaration = 0, 0, declarations[0]
    for other in declarations:
        texts = other.texts()
        for i in range(len(texts)):
            n = 0
            while n < len(old) and i + n < len(texts) and texts[i + n] == old[n]:
                n += 1
            if n > best:
                best, at, declaration = n, i, other
    where = place(declaration.source, declaration.first + at)
    if not best:
        return f"nothing there begins with '{old[0]}' ({where})"
    texts = declaration.texts()[at:]
    return f"{where} has '{' '.join(texts[:best + 4])}', not '{' '.join(old[:best + 4])}'"


def place(source, index):
    return f"{source.path}:{source.line_of(index)}"


def apply(text, edits):
    """The text of a source after edits of it."""
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[:edit.start] + edit.text + text[edit.end:]
    return text


# All mutants of functions' bodies go into one program, which is built once:
#
#     { if (hf_mutant == 1234) { the body, mutated } else { the body } }
#
# and the environment variable HF_MUTANT chooses. A mutant has its number from its name, so a
# further one leaves the other files as they are.

def number(name):
    return zlib.crc32(name.encode()) & 0x7fffffff


def can_be_woven(edits):
    """Do the edits stay within bodies of functions?"""
    return all(edit.declaration.body is not None and edit.start >= body_of(edit.declaration)[0]
               and edit.end <= body_of(edit.declaration)[1] for edit in edits)


def body_of(declaration):
    """The text between a function's outer braces: (start, end)."""
    tokens = declaration.source.tokens
    return tokens[declaration.body].end, tokens[declaration.last - 1].start


def weave(source, mutants):
    """The text of a source with the mutants in it; each has its edits, in any sources."""
    declarations = {id(edit.declaration): edit.declaration
                    for mutant in mutants for edit in mutant.edits if edit.source is source}
    woven = []
    for declaration in declarations.values():
        start, end = body_of(declaration)
        body = source.text[start:end]
        bodies = []
        for mutant in mutants:
            edits = [edit._replace(start=edit.start - start, end=edit.end - start)
                     for edit in mutant.edits if edit.declaration is declaration]
            if edits:
                bodies.append(f"\nif (hf_mutant == {number(mutant.name)}) {{ {labels(body)}\n"
                              f'#line 1 "mutant/{mutant.name}"\n{apply(body, edits)}\n}} else')
        line = source.line_of(declaration.body)
        woven.append(Edit(source, declaration, start, end, "".join(bodies) +
                          f'\n{{ {labels(body)}\n#line {line} "{source.path}"\n{body}}}', None))
    return "extern int hf_mutant; " + apply(source.text, woven)


def labels(body):
    """Labels belong to a function; so that they can be there twice, to a block."""
    names = sorted(set(re.findall(r"\bgoto\s+(\w+)", body)))
    return f"__label__ {', '.join(names)};" if names else ""


# Behind one of the sources.
CHOOSE = """
int hf_mutant;
extern char *getenv(const char *name);
extern int atoi(const char *s);
__attribute__((constructor)) static void hf_choose_mutant(void)
{
	const char *chosen = getenv("HF_MUTANT");

	hf_mutant = chosen ? atoi(chosen) : 0;
}
"""
