"""Text of strangers, made visible and inert: names, attack strings and examples as they may be shown on a page.

Everything is escaped. Control, bidirectional, zero-width, private and unassigned characters are replaced by their code
in a box, so that a string can neither hide a part of itself nor reorder its surroundings; stacks of combining marks are
cut, so that it cannot paint over its neighbours.
"""

import unicodedata

from markupsafe import Markup, escape

_NAMES = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
_MOST_MARKS = 3
_WHITE = {"\u00a0", "\u00ad", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u034f", "\u17b4", "\u17b5"}
"""Characters outside the categories below that look like nothing, or like a space."""


def visible(text: str, limit: int | None = None, *, lines: bool = False) -> Markup:
    """A stranger's text as safe HTML. limit: characters shown at most. lines: keep line breaks, beside their mark."""
    shown = text if limit is None or len(text) <= limit else text[: limit - 1]
    parts: list[str] = []
    plain: list[str] = []
    marks = 0
    for character in shown:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if is_hidden(character, category) or marks > _MOST_MARKS:
            parts.append(str(escape("".join(plain))))
            plain.clear()
            parts.append(_boxed(character))
            if character == "\n" and lines:
                plain.append("\n")
        else:
            plain.append(character)
    parts.append(str(escape("".join(plain))))
    if len(shown) < len(text):
        parts.append("…")
    return Markup("".join(parts))


def plain(text: str, limit: int | None = None) -> str:
    """The same where no HTML may stand (attributes, titles, charts, feeds): codes as \\u escapes, on one line."""
    shown = text if limit is None or len(text) <= limit else text[: limit - 1] + "…"
    marks = 0
    parts = []
    for character in shown:
        category = unicodedata.category(character)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        hidden = is_hidden(character, category) or marks > _MOST_MARKS
        parts.append(f"\\u{{{ord(character):x}}}" if hidden else character)
    return "".join(parts)


def is_hidden(character: str, category: str | None = None) -> bool:
    """Whether a character cannot be seen as itself.

    Cc, Cf, Co, Cn, Cs: control, format (bidirectional, zero-width, tags), private, unassigned, surrogates; Zl, Zp: line
    separators; Zs other than the space itself; variation selectors.
    """
    kind = category or unicodedata.category(character)
    if kind[0] == "C" or kind in ("Zl", "Zp"):
        return True
    return (kind == "Zs" and character != " ") or character in _WHITE or "\ufe00" <= character <= "\ufe0f"


def _boxed(character: str) -> str:
    code = f"U+{ord(character):04X}"
    name = escape(unicodedata.name(character, "control character"))
    return f'<span class="code" title="{code} {name}">{_NAMES.get(character, code[2:])}</span>'
