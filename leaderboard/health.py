"""Flags in words: what a health check saw, and what it means for the number beside it.

A flag never blocks a score. Robustness that is only apparent is usually visible in one of these [as AutoAttack's
checks, Croce and Hein 2020].
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ..benchmark.flags import (
    BATCH_DEPENDENT,
    CONSTANT_PREDICTOR,
    LENGTH_DEPENDENT,
    NEAR_CHANCE,
    NON_DETERMINISTIC,
    NON_FINITE_GRADIENT,
    OTHER_DATA,
    VANISHING_GRADIENT,
    WORSE_THAN_RANDOM,
)
from .text import plain


@dataclass(frozen=True)
class Flag:
    """One flag as pages show it. explanation: a sentence; empty for a flag that is not known here."""

    name: str
    title: str
    explanation: str


_KNOWN = {
    OTHER_DATA: (
        "Other data",
        "The examples are not the official ones of the task, so this result is not comparable with others.",
    ),
    NON_DETERMINISTIC: (
        "Not deterministic",
        "The same text got different outputs when it was run again, so an attack that failed may succeed on a second "
        "try.",
    ),
    BATCH_DEPENDENT: (
        "Depends on the batch",
        "Outputs changed with the other texts in the batch or with padding, so what the attack saw is not always what "
        "a single text gets.",
    ),
    LENGTH_DEPENDENT: (
        "Refuses long texts",
        "Long texts within the context are refused, or all get one and the same answer, which no attack string can "
        "change.",
    ),
    VANISHING_GRADIENT: (
        "Vanishing gradient",
        "Gradients with respect to the attack string are zero or nearly so: a gradient attack searches blindly, and "
        "holding against it says little.",
    ),
    NON_FINITE_GRADIENT: (
        "Non-finite gradient",
        "Gradients with respect to the attack string are infinite or not numbers: a gradient attack searches blindly, "
        "and holding against it says little.",
    ),
    WORSE_THAN_RANDOM: (
        "Worse than random tokens",
        "The gradient attack broke significantly fewer examples than random tokens did at the same cost, a sign of "
        "gradients that mislead it.",
    ),
    CONSTANT_PREDICTOR: (
        "Constant predictor",
        "The victim gives nearly every text the same label, so that no attack string can change its mind; half of the "
        "examples are wrong to begin with.",
    ),
    NEAR_CHANCE: (
        "Clean accuracy near chance",
        "Without any attack the victim is not shown to be better than guessing, so there is little to break.",
    ),
}


def flag(name: str) -> Flag:
    """What is known about a flag; an unknown one stands for itself."""
    title, explanation = _KNOWN.get(name, (plain(name, 80), ""))
    return Flag(name, title, explanation)


def flags(names: Iterable[str]) -> list[Flag]:
    """Flags by name, each once."""
    return [flag(name) for name in sorted(set(names))]


def explained_flag(name: str) -> str:
    """A flag in a sentence or two, as plain text for a tooltip."""
    known = flag(name)
    return f"{known.title}. {known.explanation}" if known.explanation else known.title
