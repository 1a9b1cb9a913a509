"""Text of strangers, made visible and inert: names, attack strings and examples as they may be shown on a page.

Everything is escaped. Control, bidirectional, zero-width, private and unassigned characters are replaced by their code
in a box, so that a string can neither hide a part of itself nor reorder its surroundings; stacks of combining marks are
cut, so that it cannot paint over its neighbours.
"""

import unicodedata

from markupsafe import Markup

from .segments import MOST_MARKS, as_html, is_hidden, segments


def visible(text: str, limit: int | None = None, *, lines: bool = False) -> Markup:
    """A stranger's text as safe HTML. limit: characters shown at most. lines: keep line breaks, beside their mark."""
    if limit is None or len(text) <= limit:
        return as_html(segments(text, lines=lines))
    return as_html((*segments(text[: limit - 1], lines=lines), "…"))


def plain(text: str, limit: int | None = None) -> str:
    """The same where no HTML may stand (attributes, titles, charts, feeds): codes as \\u escapes, on one line."""
    shown = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    if shown.isascii() and shown.isprintable():
        return shown
    marks = 0
    parts = []
    for character in shown:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = is_hidden(character, category) or marks > MOST_MARKS
        parts.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(parts)
