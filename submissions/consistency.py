"""What a result and its trace must agree on, before any model is asked.

Everything here follows from how a score is made: which task, which attack, what an iteration costs, that a broken
example stays broken and that one that held was attacked until the budget was spent.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from ..benchmark import PROFILES
from ..benchmark.attacks import Attack, GuidedAttack, attack_parameters, is_guided, recorded_attack, string_lengths
from ..benchmark.budget import backward_cost, forward_cost
from ..benchmark.iteration import dearest_iteration, proposing_cost
from ..benchmark.results import ExamplePart, Result, summarize
from ..tasks import UsageError, get_task
from .limits import EXAMPLES
from .manifest import not_plain
from .traces import TraceRow

_LARGEST_MODEL = 10**14
"""Parameters of a proposal; there is none with a hundredth of these."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def contradictions(result: Result) -> Iterator[str]:
    """What a result says that cannot be, a sentence each without its file."""
    yield from _about_the_task(result)
    attack = None
    try:
        attack = recorded_attack(result.attack.name, result.attack.parameters)
    except UsageError as error:
        yield f"attack.name: {error}"
    if attack and result.attack.parameters != attack_parameters(attack):
        yield (
            f"attack.parameters: they are not those of {result.attack.name}, {attack_parameters(attack)}; score again "
            "without changing them."
        )
    if attack and is_guided(attack) and (wrong := list(_about_the_proposal(attack))):
        yield from wrong
        attack = None
    yield from _about_the_settings(result)
    yield from _about_the_summary(result)
    if attack and result.attack.parameters == attack_parameters(attack):
        for number, record in enumerate(result.records):
            if problem := _impossible(record, result, attack):
                yield f"records.{number} ({record.id}): {problem}."
    for name, text in (
        ("victim.reference", result.victim.reference),
        ("victim.architecture", result.victim.architecture),
        ("victim.dtype", result.victim.dtype),
        ("run.device", result.run.device),
        ("run.passes", result.run.passes),
        *((f"run.versions.{key}", f"{key} {value}") for key, value in result.run.versions.items()),
        *((f"flags.{index}", flag) for index, flag in enumerate(result.flags)),
    ):
        if problem := not_plain(text, limit=200):
            yield f"{name}: {problem}."
    try:
        datetime.fromisoformat(result.run.finished)
    except ValueError:
        yield "run.finished: this is not a time as ISO 8601 writes it."
    spent = sum(record.cost for record in result.records)
    if abs(result.run.canonical_flop - spent) > 1e-9 * spent:
        yield f"run.canonical_flop: it is {result.run.canonical_flop:.6g}, and the records add up to {spent:.6g}."


def _about_the_task(result: Result) -> Iterator[str]:
    try:
        task = get_task(result.task.name)
    except UsageError as error:
        yield f"task.name: {error}"
        return
    if result.task.version != task.version:
        yield f"task.version: it was scored on version {result.task.version}, and the task is at {task.version}."
    elif result.task.digest != task.digest:
        yield (
            f"task.digest: it was scored on other examples ({result.task.digest[:12]}) than the official ones "
            f"({task.digest[:12]})."
        )
    if not result.task.official:
        yield "task.official: only scores on the official examples can be submitted."


def _about_the_proposal(attack: GuidedAttack) -> Iterator[str]:
    if not _SHA256.fullmatch(attack.proposal_digest) or not 0 < attack.proposal_parameters <= _LARGEST_MODEL:
        yield (
            f"attack.parameters: {attack.name} is guided by a language model, and they do not say which one, by its "
            "SHA-256 (proposal_digest) and its number of parameters (proposal_parameters)."
        )
    if problem := not_plain(attack.proposal, limit=200):
        yield f"attack.parameters.proposal: {problem}."


def _about_the_settings(result: Result) -> Iterator[str]:
    profile = PROFILES.get(result.profile)
    if profile and (profile.examples, profile.budget) != (len(result.records), result.budget):
        yield (
            f"profile: {result.profile} means {profile.examples} examples and {profile.budget:.3g} FLOP each, and here "
            f"are {len(result.records)} with {result.budget:.3g}."
        )
    if not profile and result.profile != "custom":
        yield f"profile: it must be one of {', '.join(PROFILES)} or custom."


def _about_the_summary(result: Result) -> Iterator[str]:
    if not result.records or len(result.records) > EXAMPLES:
        yield f"records: there are {len(result.records)}, and there must be 1 to {EXAMPLES}."
        return
    for example_id, count in Counter(record.id for record in result.records).items():
        if count > 1:
            yield f"records: the example {example_id[:80]!r} is there {count} times."
    for name, value in summarize(result.records).model_dump().items():
        if getattr(result.summary, name) != value:
            yield f"summary.{name}: it is {getattr(result.summary, name)}, and the records give {value}."


def _impossible(record: ExamplePart, result: Result, attack: Attack) -> str | None:
    """Why no run could have recorded this; None when one could."""
    if not record.clean_correct:
        attacked = record.cost or record.iterations or record.break_cost is not None
        return "it is wrong without an attack, so it can have no cost, iterations or break cost" if attacked else None
    parameters, tokens = result.victim.parameters, record.tokens
    whole = dearest_iteration(attack, parameters, tokens)
    if not _made_of_iterations(record, parameters, attack):
        return (
            f"the cost {record.cost:,} is not that of {record.iterations:,} whole iterations of {whole:,} FLOP at most"
        )
    if record.cost > result.budget:
        return f"the cost {record.cost:,} exceeds the budget of {result.budget:,.0f}"
    if record.break_cost is None:
        if result.budget - record.cost >= whole:
            return "it is said to have held, and was not attacked until the budget was spent"
        return None
    if record.break_cost != record.cost:
        return "the attack ends when the example breaks, so cost and break cost must be the same"
    around = tokens - attack.length
    least = forward_cost(parameters, around + string_lengths(attack)[0]) + proposing_cost(attack, around, (0, 0))
    if record.iterations < 1 or record.cost < least + record.iterations * _gradient_cost(record, parameters, attack):
        return "it cannot have been broken in less than one iteration"
    return None


def _made_of_iterations(record: ExamplePart, parameters: int, attack: Attack) -> bool:
    """Whether a cost is that of whole iterations, as many as recorded."""
    forward = forward_cost(parameters, record.tokens)
    most = record.iterations * attack.candidates
    if is_guided(attack):
        return record.cost <= record.iterations * dearest_iteration(
            attack, parameters, record.tokens
        ) and _made_of_passes(record.cost, parameters, attack.proposal_parameters)
    if len(string_lengths(attack)) > 1:
        # Each pass is over another number of tokens.
        return record.cost % forward_cost(parameters, 1) == 0 and record.cost <= most * forward
    strings, part = divmod(record.cost - record.iterations * _gradient_cost(record, parameters, attack), forward)
    # An adaptive attack scores fewer candidates where strings do not survive as text, never more.
    return not part and (0 if attack.adaptive else most) <= strings <= most


def _made_of_passes(cost: int, parameters: int, proposal: int) -> bool:
    """Whether a cost is that of passes of two models over so and so many tokens."""
    common = math.gcd(parameters, proposal)
    if cost % (2 * common):
        return False
    # The fewest tokens that the proposal can have read, as what is left has to be whole tokens of the victim's.
    modulus = parameters // common
    fewest = cost // (2 * common) * pow(proposal // common, -1, modulus) % modulus
    return 2 * proposal * fewest <= cost


def _gradient_cost(record: ExamplePart, parameters: int, attack: Attack) -> int:
    """FLOP of an iteration's gradient."""
    tokens = record.tokens
    return forward_cost(parameters, tokens) + backward_cost(parameters, tokens) if attack.uses_gradient else 0


def trace_contradictions(result: Result, rows: Sequence[TraceRow]) -> Iterator[str]:
    """Where a trace does not belong to its result, a sentence each without its file."""
    ids, traced = [record.id for record in result.records], [row.example_id for row in rows]
    if ids != traced:
        if sorted(ids) == sorted(traced):
            yield "its examples are in another order than in the result."
        else:
            odd = next((name for name in (*traced, *ids) if (name in traced) != (name in ids)), "one")
            yield f"its examples are not those of the result, among them {odd[:80]!r}."
        return
    lengths = _lengths(result)
    for number, (record, row) in enumerate(zip(result.records, rows, strict=True), start=1):
        if problem := _disagreement(record, row, lengths):
            yield f"row {number} ({record.id}): {problem}."


def _lengths(result: Result) -> range | None:
    """How many tokens a string of a result may have; None for an attack that is not known."""
    try:
        return string_lengths(recorded_attack(result.attack.name, result.attack.parameters))
    except UsageError:
        return None


def _disagreement(record: ExamplePart, row: TraceRow, lengths: range | None) -> str | None:
    if row.label != record.label:
        return "its label is not that of the result"
    if row.broken != (record.break_cost is not None):
        return "it is broken in one of result and trace and not in the other"
    if (_answer(row.clean_logits) == row.label) != record.clean_correct:
        return "the clean logits contradict what the result says about the clean answer"
    if row.attack_logits is None or row.attack_tokens is None:
        if row.broken:
            return "it is said to be broken, and there is no string that did it"
        return "it was attacked, and no string is recorded" if _scored_something(record) else None
    if not record.clean_correct:
        return "it is wrong without an attack, and yet there is an attack string"
    if (_answer(row.attack_logits) != row.label) != row.broken:
        return "the logits with the attack string contradict what is said about breaking"
    if lengths is not None and len(row.attack_tokens) not in lengths:
        return f"the attack string has {len(row.attack_tokens)} tokens, and the attack writes {said_lengths(lengths)}"
    return None


def said_lengths(lengths: range) -> str:
    """10, or 2 to 10."""
    return str(lengths[0]) if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"


def _scored_something(record: ExamplePart) -> bool:
    return record.clean_correct and record.iterations > 0


def _answer(logits: Sequence[float]) -> int:
    """The label that logits give; the first of equal ones, as argmax has it."""
    return int(logits[1] > logits[0])
