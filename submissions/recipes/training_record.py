"""`training.json`: what stands beside a trained checkpoint and says how it was made and what that cost."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...tasks import RecordError

Recipe = Literal["standard", "adversarial", "language-model"]
TRAINING_FILE = "training.json"
_PACKAGES = ("holdfast", "torch", "transformers", "accelerate", "tokenizers", "numpy")


class Compute(BaseModel):
    """Canonical FLOP by stage. pretraining: all that was done to a base of unknown history; null where not known."""

    model_config = ConfigDict(extra="forbid")

    pretraining: int | None
    fine_tuning: int
    defence: int


class Round(BaseModel):
    """One round of adversarial training.

    attacked: examples that the model classified correctly, and that were therefore attacked. broken: those that fell.
    pool: broken examples kept from this and all earlier rounds. clean_accuracy: after the round, on held-out examples.
    attack_compute, training_compute: canonical FLOP.
    """

    model_config = ConfigDict(extra="forbid")

    number: int
    attacked: int
    broken: int
    pool: int
    clean_accuracy: float
    attack_compute: int
    training_compute: int
    seconds: float

    @property
    def attack_success(self) -> float:
        """Share of the attacked examples that fell, before this round's training."""
        return self.broken / self.attacked if self.attacked else 0.0


class TrainingRecord(BaseModel):
    """How a checkpoint was made.

    command: the command line, where there was one. base: the checkpoint it started from; null from scratch.
    tokenizer_of: the checkpoint whose tokenizer it has; null where that is its own, or its base's.
    shape, standard, adversarial: the settings used, null for a stage that did not run; `standard` are those of the
    language-model recipe too. parameters: N.
    clean_accuracy: on `held_out` training examples that were not trained on, never on the evaluation set.
    digest: SHA-256 of the checkpoint, as results name it. threads: of the CPU; with as many, on the same kind of
    machine and with the same software, the command gives the same digest.
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    command: str | None
    task: str
    task_version: int
    recipe: Recipe
    base: str | None
    base_revision: str | None
    tokenizer_of: str | None = None
    seed: int
    shape: dict[str, int] | None
    standard: dict[str, int | float | None] | None
    adversarial: dict[str, int | float | None] | None
    parameters: int
    weights_dtype: str
    digest: str
    compute: Compute
    clean_accuracy: float
    held_out: int
    rounds: list[Round]
    device: str
    threads: int
    seconds: float
    software: dict[str, str]


def software() -> dict[str, str]:
    """Versions of what decides how training goes."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}


def read_training_record(folder: Path) -> TrainingRecord | None:
    """The record beside a checkpoint; None where there is none. Raises: RecordError when it is not readable."""
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    try:
        return TrainingRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        problem: dict[str, Any] = dict(error.errors()[0])
        field = ".".join(map(str, problem["loc"])) or "the file"
        raise RecordError(
            f"{path} is not a training record of this version ({field}: {problem['msg']}); delete it to go without."
        ) from error
