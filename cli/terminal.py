"""What goes to the terminal: two consoles, hostile text made visible, and how numbers are written.

Results go to standard output, everything about them (progress, notes, errors) to standard error, so that output can
be piped. rich honours NO_COLOR and leaves colours and progress bars away when the output is no terminal.
"""

import math
import unicodedata

from rich.console import Console

from ..tasks import HoldfastError

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


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 3 min 20 s, 2 h 5 min."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def size(count: float) -> str:
    """Bytes with a unit: 1.5 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
