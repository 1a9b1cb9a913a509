"""What goes to the terminal: two consoles, hostile text made visible, and how numbers are written.

Results go to standard output, everything about them (progress, notes, errors) to standard error, so that output can
be piped. rich honours NO_COLOR and leaves colours and progress bars away when the output is no terminal.
"""

import unicodedata

from rich.console import Console

from ..leaderboard.quantities import duration, size
from ..tasks import HoldfastError

__all__ = ["InterruptedRunError", "duration", "err", "out", "size", "visible"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class InterruptedRunError(HoldfastError):
    """Ctrl-C in a run that can be taken up again; says how."""

    exit_code = 130


def visible(text: str, limit: int = 120) -> str:
    """Hostile text on one line: control, bidirectional, zero-width and unassigned characters as \\u escapes."""
    shown = "".join(_visible_character(character) for character in text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def _visible_character(character: str) -> str:
    if character == "\n":
        return "\\n"
    # Cc, Cf, Co, Cn, Cs: control, format (bidirectional and zero-width), private, unassigned; Zl, Zp: line separators.
    if unicodedata.category(character)[0] == "C" or unicodedata.category(character) in ("Zl", "Zp"):
        return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"
    return character
