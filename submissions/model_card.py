"""The section about robustness in a model card: what it says, and how it is put into a README that others write.

The section stands between two markers and is replaced as a whole; every byte outside them stays as it is.
"""

import re
import shlex
from collections.abc import Sequence

from ..benchmark import PROFILES, TIERS, Result, format_gpu_time
from ..benchmark.attacks import is_guided, recorded_attack
from ..benchmark.curves import Proportion
from ..benchmark.position import OFFICIAL_POSITION
from ..tasks import RecordError
from .claims import RANKED, Claim, claims_of
from .declared import Checkpoint, HubCheckpoint, checkpoint_named, victim_file
from .entry import Entry, key_of

BEGIN, END = "<!-- holdfast:begin -->", "<!-- holdfast:end -->"

_METADATA = re.compile(rb"\A(?:\xef\xbb\xbf)?---[ \t]*\r?\n.*?^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)
_MARKER = re.compile(rb"<!--\s*holdfast:(begin|end)\s*-->")
_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#|~&!$^@:]")


def with_section(readme: bytes, section: str, where: str) -> bytes:
    """A README with the section in place of the one it has, or at its end.

    where: the README's name for people. Raises: RecordError when its markers are not one pair, or it is not text.
    """
    try:
        readme.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RecordError(f"{where} is not UTF-8 text; save it as UTF-8 and publish again.") from error
    metadata = _METADATA.match(readme)
    markers = list(_MARKER.finditer(readme, metadata.end() if metadata else 0))
    new = section.encode()
    if not markers:
        return readme + _gap(readme) + new + b"\n"
    if [marker[1] for marker in markers] != [b"begin", b"end"]:
        lines = [readme.count(b"\n", 0, marker.start()) + 1 for marker in markers]
        found = ", ".join(
            f"{marker[1].decode()} in line {line}" for marker, line in zip(markers[:6], lines, strict=False)
        )
        raise RecordError(
            f"{where} must hold the markers {BEGIN} and {END} once each and in this order, or not at all, and it has: "
            f"{found}; mend or remove them and publish again."
        )
    return readme[: markers[0].start()] + new + readme[markers[1].end() :]


def _gap(readme: bytes) -> bytes:
    """What sets a section at the end of a README off from the text above it: an empty line."""
    if not readme.strip():
        return b""
    return b"" if readme.endswith((b"\n\n", b"\n\r\n")) else b"\n" if readme.endswith(b"\n") else b"\n\n"


def card_section(entry: Entry, tasks: Sequence[str], source: str | None) -> str:
    """The section on some tasks of an entry, with its markers. source: link to results and traces."""
    claims = {task: claims_of(entry, task) for task in tasks}
    every = [claim for task in tasks for claim in claims[task]]
    tiers = [tier for tier in TIERS if any(tier in claim.robust for claim in every)]
    rows = [
        ["task", "attack", "examples", "clean", *(f"robust at {format_gpu_time(tier)}" for tier in tiers), "evidence"],
        ["---", "---", *("---:" for _ in range(2 + len(tiers))), "---"],
        *(
            [*_begin_of_row(claim), *(_share(claim.robust.get(tier)) for tier in tiers), claim.evidence]
            for claim in every
        ),
    ]
    blocks = [
        BEGIN,
        "## Adversarial robustness",
        "Robust accuracy at a budget is the share of test examples that this model classifies correctly, and that no "
        "attack string turned before that much GPU time was spent on the example. One second stands for 4e14 "
        "floating-point operations, counted for the full text, whatever hardware the attack ran on.",
        "\n".join(f"| {' | '.join(row)} |" for row in rows),
        "Accuracy in percent, with its 95 % Wilson interval; – where the budget did not reach. "
        + _about_names(every)
        + _about_flags(every),
        _about_entry(entry, source),
        "To score it again with Holdfast (after [arXiv:2407.18213](https://arxiv.org/abs/2407.18213)):",
        "```\n" + "\n".join(line for task in tasks for line in _commands(entry, task, claims[task])) + "\n```",
        *(block for task in tasks for block in _victim_file(entry, task)),
        "\n".join(line for task in tasks for line in _digests(task, claims[task])),
        END,
    ]
    return "\n\n".join(blocks)


def escaped(text: str) -> str:
    """Text of a stranger on one line of Markdown, without effect: no markup, HTML, marker or control character."""
    plain = "".join(character if character.isprintable() else "�" for character in " ".join(text.split()))
    return _MARKUP.sub(r"\\\g<0>", plain)


def _begin_of_row(claim: Claim) -> list[str]:
    return [claim.task, escaped(claim.attack), f"{claim.examples}", _share(claim.clean)]


def _share(share: Proportion | None) -> str:
    if share is None:
        return "–"
    low, high = share.interval
    return f"{100 * share.value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _about_names(claims: Sequence[Claim]) -> str:
    combined = next((claim for claim in claims if len(claim.results) > 1), None)
    previews = any(claim.examples < RANKED for claim in claims)
    return (
        (
            f"The official adversary is, example by example, the cheapest of {escaped(', '.join(combined.attackers))}. "
            if combined
            else ""
        )
        + (f"Fewer than {RANKED} examples are a preview. " if previews else "")
        + "Evidence: *scored* by the submitter, *replayed* string by string, or *reproduced* by running a sample again."
    )


def _about_flags(claims: Sequence[Claim]) -> str:
    flagged = [
        f"{claim.task} × {escaped(claim.attack)}: {escaped(', '.join(claim.flags))}"
        for claim in claims
        if claim.flags and len(claim.results) == 1
    ]
    return f" Flags: {'; '.join(flagged)}." if flagged else " No health check raised a flag."


def _about_entry(entry: Entry, source: str | None) -> str:
    manifest = entry.manifest
    authors = escaped(", ".join(author.name for author in manifest.authors))
    link = f" [Results and traces]({source})." if source else ""
    return (
        f"Entry `{manifest.slug}`: {escaped(manifest.name)}, submitted by {authors} on {manifest.submitted}. "
        f"Defence: {manifest.defence.kind}.{link}"
    )


def _commands(entry: Entry, task: str, claims: Sequence[Claim]) -> list[str]:
    """What runs the scores of a task again: a command for each setting that was used."""
    results = {id(result): result for claim in claims for result in claim.results}.values()
    by_settings: dict[tuple[str, ...], list[str]] = {}
    for result in results:
        by_settings.setdefault(_settings(result), []).append(key_of(result).attack)
    return [
        shlex.join(
            [
                *("holdfast", "score", _model(entry, task), "--task", task),
                *(word for attack in sorted(attacks) for word in ("--attack", attack)),
                *settings,
            ]
        )
        for settings, attacks in by_settings.items()
    ]


def _settings(result: Result) -> tuple[str, ...]:
    position = () if result.attack.position == OFFICIAL_POSITION else ("--position", result.attack.position)
    more = (*position, *_proposal(result), *(("--seed", str(result.seed)) if result.seed else ()))
    if result.profile in PROFILES:
        return ("--profile", result.profile, *more)
    budget = f"{result.budget:g}" if float(f"{result.budget:g}") == result.budget else repr(result.budget)
    return ("--examples", str(len(result.records)), "--budget", f"{budget}FLOP", *more)


def _proposal(result: Result) -> tuple[str, ...]:
    """The option that names the language model which guided an attack; its name is a stranger's text."""
    attack = recorded_attack(result.attack.name, result.attack.parameters)
    if not is_guided(attack):
        return ()
    checkpoint = checkpoint_named(attack.proposal)
    return ("--proposal", "PROPOSAL" if checkpoint is None else _called(checkpoint))


def _model(entry: Entry, task: str) -> str:
    """What `holdfast score` is given, in a checkout of the project."""
    declared = entry.manifest.tasks[task]
    if declared.checkpoint is None:
        return f"{task}-victim.yaml"
    return _called(declared.checkpoint)


def _called(checkpoint: Checkpoint) -> str:
    if isinstance(checkpoint, HubCheckpoint):
        return f"{checkpoint.repo}@{checkpoint.commit}"
    return f"submissions/{checkpoint.path}"


def _victim_file(entry: Entry, task: str) -> list[str]:
    """The file that the commands of a task name, where its victim is made of several checkpoints."""
    victim = entry.manifest.tasks[task].victim
    return [] if victim is None else [f"`{task}-victim.yaml` is:", f"```\n{victim_file(victim, _called)}```"]


def _digests(task: str, claims: Sequence[Claim]) -> list[str]:
    first = claims[-1].results[0]
    return [
        f"- {task}: victim SHA-256 `{first.victim.digest}`, evaluation set version {first.task.version} "
        f"SHA-256 `{first.task.digest}`"
    ]
