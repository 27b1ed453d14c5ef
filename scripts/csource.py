# SPDX-License-Identifier: MIT
"""C source as tokens and top-level declarations, as much as scripts/mutants needs of it.

No preprocessor: both sides of an #if are read. What is tied to spaces, line ends and comments
is not seen, so code that clang-format lays out anew stays the same here.
"""

import bisect
import collections
import re

TOKEN = re.compile(r"""
    (?P<space> \s+ | \\\n | //[^\n]* | /\*.*?\*/ )
  | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'
  | [A-Za-z_]\w*
  | \.?\d (?: [eEpP][+-] | [\w.] )*
  | -> | \+\+ | -- | <<= | >>= | << | >> | [<>=!]= | && | \|\| | [-+*/%&|^]= | \.\.\. | \#\#
  | .
    """, re.VERBOSE | re.DOTALL)
WORD = re.compile(r"[A-Za-z_]\w*\Z")

# Looks like a call in front of a function's name, and is none.
ATTRIBUTES = {"__attribute__", "__declspec", "_Alignas", "_Static_assert", "static_assert"}

Token = collections.namedtuple("Token", "text start end")


def tokens(text):
    return [Token(match[0], match.start(), match.end())
            for match in TOKEN.finditer(text) if match["space"] is None]


class Declaration:
    """Tokens first to last - 1 of a file: a function, a macro, a table, a type.

    `names` are those it may be called by: one, but for an enum, whose constants are names of
    it, too. `body` is the token of a function's opening brace, the one at last - 1 closes it.
    """

    def __init__(self, source, first, last, names, body=None):
        self.source, self.first, self.last = source, first, last
        self.names, self.body = names, body

    def texts(self):
        return [token.text for token in self.source.tokens[self.first:self.last]]

    def line(self):
        return self.source.line_of(self.first)


class Source:
    """One file. `path` is only what messages call it."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.tokens = tokens(text)
        self.line_starts = [match.end() for match in re.finditer(r"^|\n", text)]
        self.declarations = list(self.split())

    def line_of(self, index):
        """The line of a token, counted from 1."""
        return bisect.bisect_right(self.line_starts, self.tokens[index].start)

    def end_of_directive(self, index):
        """The first token behind the preprocessor line that begins at this one."""
        at = self.tokens[index].start
        while True:
            at = self.text.find("\n", at)
            if at < 0:
                return len(self.tokens)
            if self.text[at - 1] != "\\":
                break
            at += 1
        while index < len(self.tokens) and self.tokens[index].start < at:
            index += 1
        return index

    def split(self):
        """Every definition and every macro; declarations of what is elsewhere are left out."""
        first, index, depth, opened = 0, 0, 0, []
        while index < len(self.tokens):
            text = self.tokens[index].text
            if text == "#" and not self.text[self.line_starts[self.line_of(index) - 1]:
                                             self.tokens[index].start].strip():
                end = self.end_of_directive(index)
                if depth == 0:
                    if index + 2 < end and self.tokens[index + 1].text == "define":
                        yield Declaration(self, index, end, {self.tokens[index + 2].text})
                    first = end if first == index else first
                index = end
                continue
            if text in "([{" and depth == 0:
                opened.append(index)
            depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
            index += 1
            if depth or text not in (";", "}"):
                continue
            braces = [at for at in opened if self.tokens[at].text == "{"]
            if text == "}" and not self.is_function(first, opened):
                continue # its semicolon is still to come
            if braces or any(token.text == "=" for token in self.tokens[first:index]):
                yield self.declaration(first, index, opened, braces)
            first, opened = index, []

    def is_function(self, first, opened):
        """Do parentheses, and no '=', stand before the first brace?"""
        brace = next(at for at in opened if self.tokens[at].text == "{")
        before = {token.text for token in self.tokens[first:brace]}
        return "(" in before and "=" not in before and "typedef" not in before

    def declaration(self, first, last, opened, braces):
        texts = [token.text for token in self.tokens[first:last]]
        if braces and self.is_function(first, opened):
            called = [self.tokens[at - 1].text for at in opened
                      if self.tokens[at].text == "(" and at > first]
            called = [name for name in called if WORD.match(name) and name not in ATTRIBUTES]
            return Declaration(self, first, last, set(called), braces[-1])
        names = set()
        assigned = texts.index("=") if "=" in texts else len(texts)
        if braces and braces[0] - first < assigned: # a type
            inside = texts[braces[0] - first:]
            if WORD.match(texts[braces[0] - first - 1]):
                names.add(texts[braces[0] - first - 1])
            if "enum" in texts[:braces[0] - first]:
                names.update(inside[i + 1] for i in range(len(inside) - 1)
                             if inside[i] in "{," and WORD.match(inside[i + 1]))
            names -= {"enum", "struct", "union"}
        else: # a variable: its name is before the '=', or before the bounds of an array
            end = next(i for i, text in enumerate(texts) if text in ("=", "["))
            names.add(texts[end - 1])
        return Declaration(self, first, last, names)
