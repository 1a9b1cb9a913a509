"""Text of strangers in segments: what can be seen as itself, and what stands for a hidden character.

Pages have them as HTML (`text.visible`); scripts get them as they are, make nodes of them, and never parse anything. A
segment is a plain string, or a pair of what is shown in a box and what it stands for.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from markupsafe import Markup, escape

Segment = str | tuple[str, str]

_NAMES = {"\n": "⏎", "\r": "␍", "\t": "⇥"}
MOST_MARKS = 3
_BOX = Markup('<span class="code" title="{1}">{0}</span>')
_WHITE = {"\u00a0", "\u00ad", "\u115f", "\u1160", "\u3164", "\uffa0", "\u2800", "\u034f", "\u17b4", "\u17b5"}
"""Characters outside the categories below that look like nothing, or like a space."""
_UNUSUAL = re.compile(r"[^ -~]+")
"""Where a character may need a box: all but printable ASCII."""


@lru_cache(maxsize=20_000)
def segments(text: str, *, lines: bool = False) -> tuple[Segment, ...]:
    """A text in segments; a box per hidden character, and per combining mark beyond the third on one letter.

    lines: keep line breaks, after their boxes.
    """
    found: list[Segment] = []
    shown: list[str] = []
    end = 0
    for run in _UNUSUAL.finditer(text):
        shown.append(text[end : run.start()])
        marks = 0
        for character in run[0]:
            category = unicodedata.category(character)
            marks = marks + 1 if category in ("Mn", "Me") else 0
            if marks > MOST_MARKS or is_hidden(character, category):
                if before := "".join(shown):
                    found.append(before)
                shown.clear()
                code = f"U+{ord(character):04X}"
                name = unicodedata.name(character, "control character")
                found.append((_NAMES.get(character, code[2:]), f"{code} {name}"))
                if character == "\n" and lines:
                    shown.append("\n")
            else:
                shown.append(character)
        end = run.end()
    if rest := "".join([*shown, text[end:]]):
        found.append(rest)
    return tuple(found)


def as_html(found: Sequence[Segment]) -> Markup:
    """Segments as a page has them."""
    return Markup("").join(escape(each) if isinstance(each, str) else _BOX.format(*each) for each in found)


def is_hidden(character: str, category: str | None = None) -> bool:
    """Whether a character cannot be seen as itself.

    Cc, Cf, Co, Cn, Cs: control, format (bidirectional, zero-width, tags), private, unassigned, surrogates; Zl, Zp: line
    separators; Zs other than the space itself; variation selectors.
    """
    kind = category or unicodedata.category(character)
    if kind[0] == "C" or kind in ("Zl", "Zp"):
        return True
    return (kind == "Zs" and character != " ") or character in _WHITE or "\ufe00" <= character <= "\ufe0f"
