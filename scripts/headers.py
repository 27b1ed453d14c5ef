# SPDX-License-Identifier: MIT
"""The public headers as data: what they declare, what their comments say of it, and whether
that is complete."""

import collections
import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = ROOT / "include"

# A declaration as it stands in the header. `name` is None where it is no function.
Decl = collections.namedtuple("Decl", "text line name returns params")
# Lines without a blank one between them: a comment and what it is about. `comment` is a list
# of paragraphs; those that begin with "- " are items of a list.
Group = collections.namedtuple("Group", "comment decls line")
Header = collections.namedtuple("Header", "path name overview groups")

TOKEN = re.compile(r"(?P<blank>[ \t]*\n)|(?P<comment>/\*.*?\*/)|(?P<cpp>\#(?:\\\n|[^\n])*)"
                   r"|(?P<space>[ \t]+)|(?P<decl>.)", re.DOTALL)
FUNCTION = re.compile(r"^(?:static inline )?(?P<returns>[\w ]+?[ *]+)(?P<name>hf_\w+)"
                      r"\((?P<params>(?:[^()]|\([^()]*\))*)\)\s*[;{]", re.DOTALL)
# A comma between arguments, not between those of a function that is one.
COMMA = re.compile(r",(?![^()]*\))")


def paragraphs(comment):
    """What a comment says, without its stars and with each paragraph in one line."""
    lines = [re.sub(r"^\s*\*? ?", "", line).rstrip()
             for line in re.sub(r"^/\*+|\*/$", "", comment).split("\n")]
    found = [""]
    for line in lines:
        item = re.match(r"\s*- ", line)
        if not line or item:
            found.append("")
        found[-1] += (" " if found[-1] else "") + line.strip()
    return [paragraph for paragraph in found if paragraph]


def declaration_end(text, at):
    """Past the ';' that ends the declaration at `at`, or past the body of its function."""
    depth, body = 0, False
    while at < len(text):
        if text.startswith("/*", at):
            at = text.index("*/", at) + 1
        elif text[at] == "{":
            body = body or depth == 0 and text[:at].rstrip().endswith(")")
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if depth == 0 and body:
                return at + 1
        elif text[at] == ";" and depth == 0:
            return at + 1
        at += 1
    raise ValueError("a declaration without an end")


def declaration(text, line):
    match = FUNCTION.match(text)
    if not match:
        return Decl(text, line, None, None, [])
    params = [param.strip() for param in COMMA.split(match["params"])]
    prototype = re.sub(r"^static inline ", "", text)
    return Decl(re.sub(r"\s*\{.*", ";", prototype, flags=re.DOTALL), line, match["name"],
                match["returns"].strip(), [param for param in params if param != "void"])


def type_explains(param):
    """Structs and enums have comments of their own, which say what an argument of theirs is."""
    return re.match(r"(const )?(struct|enum) \w+ \**\w+$", param)



def parse(path):
    """A header, which is laid out as .clang-format says."""
    text = path.read_text()
    overview, groups, at, fresh, licence = [], [], 0, True, False
    while at < len(text):
        token = TOKEN.match(text, at)
        kind, line = token.lastgroup, text.count("\n", 0, at) + 1
        start, at = at, token.end()
        begins_line = not text[text.rfind("\n", 0, start) + 1:start].strip()
        if kind == "blank":
            fresh = fresh or begins_line
            continue
        if kind == "space" or kind == "cpp" and not re.match(r"#define \w+[ (]", token[0]):
            continue
        if kind == "comment":
            if not licence:
                licence = True
            elif "#ifndef" not in text[:start]:
                overview = paragraphs(token[0])
            elif begins_line:
                groups.append(Group(paragraphs(token[0]), [], line))
                fresh = False
            elif groups and groups[-1].decls:
                groups[-1].decls[-1] = groups[-1].decls[-1]._replace(
                    text=groups[-1].decls[-1].text + " " + token[0])
            continue
        if kind == "decl":
            at = declaration_end(text, start)
        if fresh:
            groups.append(Group([], [], line))
            fresh = False
        groups[-1].decls.append(declaration(text[start:at], line))
    return Header(path, path.stem, overview, [group for group in groups if group.decls])


@functools.lru_cache(maxsize=None)
def public():
    """Every public header."""
    return [parse(path) for path in sorted((INCLUDE / "holdfast").glob("*.h"))]


def functions(group):
    return [decl for decl in group.decls if decl.name]


def sentences(paragraph):
    """A paragraph, cut into its sentences."""
    return re.split(r"(?:(?<=\.)|(?<=\.\))) +(?=[A-Z`\"(*])", paragraph)


ERRORS = re.compile(r"^(HF_ERR_\w+(?:(?:,| or| and) HF_ERR_\w+)*)\b(?:[:,] *| *)(.*?)\.?$")


def errors(group):
    """Each error that the comment names, in its order, with what it says of it ("" if nothing)."""
    found = collections.OrderedDict()
    for paragraph in group.comment:
        for sentence in sentences(paragraph):
            match = ERRORS.match(sentence)
            for name in re.findall(r"HF_ERR_\w+", match[1] if match else sentence):
                found.setdefault(name, [])
                if match and match[2]:
                    found[name].append(re.sub(r"^\((.*)\)$", r"\1", match[2]))
            # An error named inside the condition of another.
            for name in re.findall(r"HF_ERR_\w+", match[2] if match else ""):
                found.setdefault(name, [])
    return {name: "; ".join(what) for name, what in found.items()}


def names(headers):
    """Every name that the headers declare."""
    return {name for header in headers
            for name in re.findall(r"\b(?:hf|HF)_\w+", re.sub(
                r"/\*.*?\*/", "", header.path.read_text(), flags=re.DOTALL))}


# ---- What a complete comment says ----

# A man page, a manual's section, a standard or this project's own design.
REFERENCE = re.compile(r"\b[a-z_][\w.-]*\([1-8]\)|\bSDM\b|\bAPM\b|\bArm ARM\b|\bRISC-V\b.*\b\d+\.\d"
                       r"|\bKnuth\b|Documentation/|\bDESIGN\.md\b")


def wanting(header, known):
    """(line, what is missing) for each hole in a header's comments."""
    overview = " ".join(header.overview)
    if not overview:
        yield 1, "the header does not say what it is for"
    for group in header.groups:
        said = " ".join(group.comment)
        for name, more in re.findall(r"\b((?:hf|HF)_\w+)([*?]?)", said):
            if name not in known and not (more and any(k.startswith(name) for k in known)):
                yield group.line, f"the comment speaks of {name}, which there is not"
        for decl in functions(group):
            for what in function_wanting(group, decl, said, overview):
                yield decl.line, f"{decl.name}: {what}"


def function_wanting(group, decl, said, overview):
    first = functions(group)[0]
    if not said:
        yield "no comment"
        return
    if decl is first and said.startswith("HF_ERR_"):
        yield "the comment begins with an error and not with what the call does"
    if decl.returns != first.returns and not re.search(rf"\b{decl.name}\b", said):
        yield f"the comment is about {first.name}; name it there or give it its own"
    if decl.returns == "enum hf_status" and not errors(group) and "Cannot fail" not in said:
        yield "which HF_ERR_* does it return? (or: Cannot fail.)"
    if not REFERENCE.search(overview) and not REFERENCE.search(said):
        yield "what does it follow: a man page, a manual's section, DESIGN.md?"
    for param in decl.params:
        name = re.findall(r"\w+", re.sub(r"\(\*(\w+)\)\(.*\)", r"\1", param))[-1]
        # Results go through out parameters (status.h).
        if name != "out" and not type_explains(param) and \
                not re.search(rf"\b{name}\b", said + " " + overview):
            yield f"what is {name}?"
