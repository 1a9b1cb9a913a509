"""Where in a text the attack string goes: the task's own slot, or a place that a defence was not trained on.

At the official position, `suffix`, the string fills the task's slot. At the others it is written on a line of its own
into what comes before the slot, which stays empty: `infix` behind 90 % of it, `prefix` before all of it
[arXiv 2407.18213, sec. 5]. Without a string the text is the same at every position, unless it had to be shortened.
"""

from dataclasses import replace
from typing import Literal, get_args

from ..tasks import Example, UsageError

Position = Literal["suffix", "infix", "prefix"]
POSITIONS: tuple[Position, ...] = get_args(Position)
OFFICIAL_POSITION: Position = "suffix"
INFIX = 0.9
"""Share of the characters before the slot that stands before an infix."""


def get_position(name: str) -> Position:
    """The position of that name. Raises: UsageError when there is none."""
    for position in POSITIONS:
        if position == name:
            return position
    raise UsageError(f"There is no position '{name}'; choose one of {', '.join(POSITIONS)}.")


def placed(example: Example, position: Position) -> Example:
    """The example with its slot moved to a position.

    Only its text with a string in the slot is that of an attack; without one, the original's is.
    """
    if position == "suffix":
        return example
    before, rest = _cut(example.before) if position == "infix" else ("", example.before)
    return replace(example, before=before and before + "\n", after="\n" + rest + example.after)


def _cut(text: str) -> tuple[str, str]:
    """Cut at the first white space from the infix's place on, or the last before it; in the middle of text without."""
    place = int(INFIX * len(text))
    later = (i for i in range(place, len(text)) if text[i].isspace() and text[i:].strip())
    earlier = (i for i in range(place - 1, -1, -1) if text[i].isspace() and text[:i].strip())
    cut = next(later, None)
    if cut is None:
        cut = next(earlier, place)
    return text[:cut].rstrip(), text[cut:].lstrip()
