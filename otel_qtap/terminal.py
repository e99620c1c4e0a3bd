# SPDX-License-Identifier: Apache-2.0
"""Text of others, for a terminal: paths, commands and messages may hold what a terminal obeys.

A path may have any character but NUL. Escape sequences move the cursor, paint and answer for the user; a
newline begins what looks like a line of ours. Every text that others chose goes through here on its way to
a log, a report or a complaint.
"""


def printable(text: str) -> str:
    """The text on one line: what is no visible character nor a space is written as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same for a text whose line feeds are meant; tabs stay, and so does the end of a line in CRLF."""
    return "\n".join(map(_printable_line, text.replace("\r\n", "\n").split("\n")))


def printable_json(document: str) -> str:
    """A JSON document without line breaks between its values, with JSON's own escapes: it means the same."""
    if document.isprintable():
        return document
    return "".join(c if c.isprintable() else _json_escape(c) for c in document)


def _printable_line(line: str) -> str:
    return "\t".join(map(printable, line.split("\t")))


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
