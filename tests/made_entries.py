"""Entries made up for tests: consistent in every respect, without a model having been attacked."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from holdfast.benchmark import OFFICIAL_ATTACKS, TIERS, get_attack
from holdfast.benchmark.attacks import attack_parameters
from holdfast.benchmark.budget import cost_of_iteration, forward_cost
from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.outcome import Record
from holdfast.benchmark.results import (
    AttackPart,
    Result,
    RunPart,
    Seconds,
    TaskPart,
    VictimPart,
    example_parts,
    result_json,
    sha256,
    summarize,
    trace_bytes,
)
from holdfast.submissions.declared import Checkpoint, HubCheckpoint, RegistryCheckpoint
from holdfast.submissions.entry import Key, file_of
from holdfast.submissions.manifest import (
    MANIFEST_FILE,
    Author,
    Defence,
    Manifest,
    TaskEntry,
    manifest_yaml,
)
from holdfast.tasks import get_task

PARAMETERS = 125_824
TOKENS = 60
BUNDLED = Path(__file__).resolve().parents[1] / "submissions" / "checkpoints"
IN_REGISTRY = RegistryCheckpoint(path="checkpoints/password-match-undefended")


def on_hub(repo: str = "acme/classifier", commit: str = "a1" * 20) -> HubCheckpoint:
    return HubCheckpoint(repo=repo, commit=commit)


def make_entry(
    registry: Path,
    slug: str = "made-up",
    *,
    checkpoints: dict[str, Checkpoint] | None = None,
    attacks: Sequence[str] = OFFICIAL_ATTACKS,
    examples: int = 10,
    budget: float = TIERS[1],
    **manifest: object,
) -> Path:
    """Write an entry with a result and a trace per task and attack; its folder.

    Every fifth example is wrong when clean; of the rest, every second one breaks, each later than the one before.
    """
    checkpoints = checkpoints or {"password-match": IN_REGISTRY}
    folder = registry / "entries" / slug
    folder.mkdir(parents=True)
    for task, checkpoint in checkpoints.items():
        if isinstance(checkpoint, RegistryCheckpoint) and not (registry / checkpoint.path).exists():
            shutil.copytree(BUNDLED / Path(checkpoint.path).name, registry / checkpoint.path)
        for attack in attacks:
            _write_result(registry, folder, task, checkpoint, attack, examples, budget)
    said = {
        "schema_version": 1,
        "slug": slug,
        "name": "A made-up classifier",
        "authors": [Author(name="Ada Tester")],
        "licence": "Apache-2.0",
        "submitted": date(2026, 1, 31),
        "family": "Pythia",
        "defence": Defence(kind="none"),
        "tasks": {
            task: TaskEntry(checkpoint=checkpoint, parameters=PARAMETERS) for task, checkpoint in checkpoints.items()
        },
    }
    (folder / MANIFEST_FILE).write_bytes(manifest_yaml(Manifest.model_validate(said | manifest)))
    return folder


def _write_result(
    registry: Path, folder: Path, task: str, checkpoint: Checkpoint, attack: str, examples: int, budget: float
) -> None:
    on_hub = isinstance(checkpoint, HubCheckpoint)
    digest = "d1" * 32 if isinstance(checkpoint, HubCheckpoint) else checkpoint_digest(registry / checkpoint.path)
    records = [_record(task, number, attack, budget) for number in range(examples)]
    trace = trace_bytes(records)
    declared, parameters = get_task(task), attack_parameters(get_attack(attack))
    cost = sum(record.cost for record in records)
    result = Result(
        task=TaskPart(name=task, version=declared.version, digest=declared.digest, official=True),
        attack=AttackPart(name=attack, position="suffix", parameters=parameters),
        victim=VictimPart(
            reference=checkpoint.repo if isinstance(checkpoint, HubCheckpoint) else checkpoint.path,
            revision=checkpoint.commit if isinstance(checkpoint, HubCheckpoint) else None,
            digest=digest,
            architecture="gpt_neox",
            parameters=PARAMETERS,
            context=128,
            dtype="float32",
        ),
        seed=0,
        profile="custom",
        budget=budget,
        summary=summarize(records),
        records=example_parts(records),
        flags=["constant-predictor"] if on_hub else [],
        trace_sha256=sha256(trace),
        run=RunPart(
            versions={"holdfast": "0.1.0"},
            device="cpu",
            threads=1,
            finished="2026-01-30T12:00:00+00:00",
            seconds=Seconds(total=1.0, model=0.5, tokenization=0.25, rest=0.25),
            canonical_flop=cost,
            executed_flop=cost,
            candidates=100,
            passes="full text",
            batch_size=8,
            peak_memory=1_000_000,
        ),
    )
    key = Key(task, attack, "suffix")
    for kind, content in (("results", result_json(result)), ("traces", trace)):
        path = file_of(folder, kind, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _record(task: str, number: int, name: str, budget: float) -> Record:
    attack = get_attack(name)
    iteration = cost_of_iteration(PARAMETERS, TOKENS, attack.candidates, gradient=attack.uses_gradient)
    assert iteration >= forward_cost(PARAMETERS, TOKENS)
    most = int(budget // iteration)
    wrong = Record(
        example_id=f"{task}-{number}",
        label=number % 2,
        clean_correct=False,
        truncated=False,
        tokens=TOKENS,
        break_cost=None,
        cost=0,
        iterations=0,
        clean_logits=_logits(1 - number % 2),
    )
    if number % 5 == 4:
        return wrong
    breaks = number % 2 == 0
    iterations = 1 + number * (most - 1) // 500 if breaks else most
    cost = iterations * iteration
    return replace(
        wrong,
        clean_correct=True,
        break_cost=cost if breaks else None,
        cost=cost,
        iterations=iterations,
        clean_logits=_logits(number % 2),
        attack_string=f"<b>|`{number}` --- \u202e$x$",
        attack_tokens=tuple(range(10)),
        attack_logits=_logits(1 - number % 2 if breaks else number % 2),
    )


def _logits(label: int) -> tuple[float, float]:
    return (-1.0, 1.0) if label else (1.0, -1.0)
