"""The attacks, and how to find one by name.

Attacks are registered through the entry-point group `holdfast.attacks`; another package adds one by declaring a class
there that follows the `Attack` protocol, is a frozen dataclass (its fields are the parameters that a result records)
and can be made without arguments.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any

from ...tasks import Registry, UsageError
from .protocol import (
    Attack,
    BeamAttack,
    GradientBatch,
    GuidedAttack,
    LocalAttack,
    RestartingAttack,
    Search,
    SlotGradient,
    begins_anew,
    is_guided,
    is_local,
    keeps_a_beam,
    next_length,
    string_lengths,
)

OFFICIAL_ATTACKS = ("random_token", "gcg", "gcg_plus", "beast")
"""The attacks of the official adversary, in the order in which they run."""

_NAME = re.compile(r"[a-z0-9_]+")
_VARIANT = re.compile(r"(.+)-([1-9]\d{0,3})")
LONGEST = 50
"""Tokens in an attack string at most; longer ones would be prompts of their own."""

_PROPOSAL = ("proposal", "proposal_digest", "proposal_parameters")
_ATTACKS = Registry("holdfast.attacks", "attack", OFFICIAL_ATTACKS, "holdfast.benchmark.attacks.")


def attack_names() -> list[str]:
    """Names of all installed attacks, the official ones first."""
    return _ATTACKS.names()


def get_attack(name: str) -> Attack:
    """The attack of that name, with its official parameters; `gcg-20` is `gcg` with strings of 20 tokens.

    Raises: UsageError when there is none, or when the package that announces it cannot be loaded.
    """
    variant = _VARIANT.fullmatch(name)
    if variant and name not in attack_names() and variant[1] in attack_names():
        return with_length(get_attack(variant[1]), int(variant[2]))
    kind = _ATTACKS.load(name)
    try:
        attack = kind() if isinstance(kind, type) else None
    except TypeError as error:  # it needs arguments
        raise _ATTACKS.refuse(name) from error
    if not isinstance(attack, Attack) or not is_dataclass(attack) or attack.name != name:
        raise _ATTACKS.refuse(name)
    if not _NAME.fullmatch(name):
        # Files are named after attacks, with a position or a length behind a dash.
        raise UsageError(
            f"The attack {name!r} has a name that no entry could hold; attacks are called by small letters, digits and "
            "'_', so change the package that provides it."
        )
    for field in fields(attack):
        # Results publish the parameters; better to refuse now than after all the compute.
        if not isinstance(getattr(attack, field.name), int | float | str):
            raise UsageError(
                f"The parameter {field.name} of the attack {name!r} is neither a number nor a text, so no result could "
                "hold it; change the package that provides the attack."
            )
    return attack


def attack_parameters(attack: Attack) -> dict[str, Any]:
    """The parameters an attack runs with: its dataclass fields."""
    return asdict(attack)  # type: ignore[call-overload]


def with_length(attack: Attack, length: int) -> Attack:
    """The attack with strings of another length. Raises: UsageError where it has no such parameter."""
    if length == attack.length:
        return attack
    if "length" not in attack_parameters(attack):
        raise UsageError(f"The attack {attack.name} writes strings of {attack.length} tokens and of no other length.")
    if not 1 <= length <= LONGEST:
        raise UsageError(f"An attack string has 1 to {LONGEST} tokens, not {length}.")
    return replace(attack, length=length)  # type: ignore[type-var]


def recorded_attack(name: str, parameters: Mapping[str, Any]) -> Attack:
    """The attack of a result: that of its name, with the length and the proposal that its parameters record.

    Raises: UsageError when there is no such attack, or it has no such length.
    """
    attack = get_attack(name)
    length = parameters.get("length", attack.length)
    if isinstance(length, int):
        attack = with_length(attack, length)
    if is_guided(attack):
        named = [parameters.get(field) for field in _PROPOSAL]
        if [type(value) for value in named] == [str, str, int]:
            attack = replace(attack, **dict(zip(_PROPOSAL, named, strict=True)))  # type: ignore[type-var]
    return attack


def with_proposal(attack: Attack, reference: str, digest: str, parameters: int) -> Attack:
    """The attack with a language model that proposes its tokens. Raises: UsageError for one that uses none."""
    if not is_guided(attack):
        raise UsageError(f"The attack {attack.name} uses no proposal.")
    return replace(attack, **dict(zip(_PROPOSAL, (reference, digest, parameters), strict=True)))  # type: ignore[type-var]


def deciding_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a score depends on: all but where the proposal lay, as its digest says which it is."""
    return {name: value for name, value in parameters.items() if name != _PROPOSAL[0]}


def variant_name(name: str, parameters: Mapping[str, Any]) -> str:
    """What files and tables call an attack: its name, with the length of its strings where that is not its own."""
    length = parameters.get("length")
    try:
        usual = get_attack(name).length
    except UsageError:
        return name
    return f"{name}-{length}" if isinstance(length, int) and length != usual else name


def full_name(attack: Attack) -> str:
    """The same of an attack that is at hand."""
    return variant_name(attack.name, attack_parameters(attack))


__all__ = [
    "OFFICIAL_ATTACKS",
    "Attack",
    "BeamAttack",
    "GradientBatch",
    "GuidedAttack",
    "LocalAttack",
    "RestartingAttack",
    "Search",
    "SlotGradient",
    "attack_names",
    "attack_parameters",
    "begins_anew",
    "deciding_parameters",
    "full_name",
    "get_attack",
    "is_guided",
    "is_local",
    "keeps_a_beam",
    "next_length",
    "recorded_attack",
    "string_lengths",
    "variant_name",
    "with_length",
    "with_proposal",
]
