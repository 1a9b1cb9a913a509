"""A sound entry: a bundled checkpoint that really was attacked, in a registry of its own."""

import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from holdfast.benchmark import Settings, get_attack, load_victim, score
from holdfast.submissions.declared import RegistryCheckpoint
from holdfast.submissions.manifest import (
    MANIFEST_FILE,
    Author,
    Defence,
    Manifest,
    TaskEntry,
    manifest_yaml,
)
from holdfast.tasks import get_task

TASK = "password-match"
SLUG = "sound"
EXAMPLES = 10
BUDGET = 8e9
"""Six iterations of GCG, a thousand random strings: some examples break, some hold."""
BUNDLED = Path(__file__).resolve().parents[1] / "submissions" / "checkpoints"


def score_entry(
    registry: Path,
    checkpoint: str = "password-match-undefended",
    *,
    attacks: Sequence[str] = ("random_token", "gcg"),
    change: Callable[[Path], None] | None = None,
) -> Path:
    """Score a bundled checkpoint with two official attacks and write the entry; its folder.

    change: is done to the checkpoint first.
    """
    shutil.copytree(BUNDLED / checkpoint, registry / "checkpoints" / "small")
    if change:
        change(registry / "checkpoints" / "small")
    victim = load_victim(registry / "checkpoints" / "small", device="cpu")
    victim.reference = "checkpoints/small"
    victim = victim.for_labels(get_task(TASK).labels)
    entry = registry / "entries" / SLUG
    for attack in attacks:
        settings = Settings("custom", EXAMPLES, BUDGET)
        score(victim, get_task(TASK).evaluation(), get_attack(attack), settings, entry)
    shutil.rmtree(entry / "records", ignore_errors=True)
    (entry / ".lock").unlink(missing_ok=True)
    manifest = Manifest(
        schema_version=1,
        slug=SLUG,
        name="A sound entry",
        authors=[Author(name="Ada Tester")],
        licence="Apache-2.0",
        submitted=date(2026, 1, 31),
        family="GPT-NeoX",
        defence=Defence(kind="none"),
        tasks={TASK: TaskEntry(checkpoint=RegistryCheckpoint(path="checkpoints/small"), parameters=victim.parameters)},
    )
    (entry / MANIFEST_FILE).write_bytes(manifest_yaml(manifest))
    return entry
