"""Sweep files: several models, tasks, attacks and positions, to be scored with the same settings in one run.

    models:
      - checkpoints/my-first-model          # a folder, from the file's own
      - acme/my-second-model@COMMIT         # a Hub id
      - ensemble.yaml                       # a victim file
      - model: checkpoints/for-spam-alone   # one that has tasks of its own
        tasks: [spam]
    tasks: [imdb, spam]                     # or [all]; of all models that have none of their own
    attacks: [random_token, gcg, beast]     # may be left out, like all that follows
    positions: [suffix]
    profile: lite
    examples: 100
    budget: 5ms
    seed: 0
    proposal: acme/a-language-model@COMMIT  # for beast_lm

Plain data, read as strictly as a manifest.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator

from ..benchmark import OFFICIAL_ATTACKS, Settings, get_attack, get_profile, parse_budget
from ..benchmark.position import OFFICIAL_POSITION, get_position
from ..tasks import OFFICIAL_TASKS, UsageError, get_task
from .plain_file import read_plain_file
from .victim_file import ModelName


def _known(find: Callable[[str], object]) -> AfterValidator:
    """Text that a function knows what to do with."""

    def check(text: str) -> str:
        try:
            find(text)
        except UsageError as error:
            raise ValueError(str(error).rstrip(".")) from error
        return text

    return AfterValidator(check)


TaskName = Annotated[str, _known(lambda name: name == "all" or get_task(name))]
AttackName = Annotated[str, _known(get_attack)]
PositionName = Annotated[str, _known(get_position)]


TaskNames = Annotated[list[TaskName], Field(min_length=1)]


class SweptModel(BaseModel):
    """A model and its tasks; None where they are those of the sweep."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: ModelName
    tasks: TaskNames | None = None


def _by_name(given: object) -> object:
    return given if isinstance(given, dict | SweptModel) else {"model": given}


class Sweep(BaseModel):
    """What is to be scored."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    models: Annotated[list[Annotated[SweptModel, BeforeValidator(_by_name)]], Field(min_length=1)]
    tasks: TaskNames | None = None
    attacks: Annotated[list[AttackName], Field(min_length=1)] = list(OFFICIAL_ATTACKS)
    positions: Annotated[list[PositionName], Field(min_length=1)] = [OFFICIAL_POSITION]
    profile: Annotated[str, _known(get_profile)] = "quick"
    examples: Annotated[int | None, Field(ge=1)] = None
    budget: Annotated[str, _known(parse_budget)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    proposal: ModelName | None = None

    @model_validator(mode="after")
    def _every_model_has_tasks(self) -> Self:
        if self.tasks is None:
            for each in self.models:
                if each.tasks is None:
                    raise ValueError(f"{each.model} has no tasks; give it some, or the sweep by `tasks`")
        return self

    @property
    def work(self) -> dict[str, list[str]]:
        """Every model once, and every task of it once."""
        found: dict[str, list[str]] = {}
        for each in self.models:
            found[each.model] = _each_once([*found.get(each.model, []), *(each.tasks or self.tasks or [])])
        return found

    def settings(self, profile: str | None) -> Settings:
        """profile: in place of what the file says about it, and about examples and budget."""
        if profile is not None:
            return Settings.asked(profile, None, None, self.seed)
        return Settings.asked(self.profile, self.examples, self.budget, self.seed)


def _each_once(tasks: Sequence[str]) -> list[str]:
    return list(OFFICIAL_TASKS if "all" in tasks else dict.fromkeys(tasks))


_READER = TypeAdapter(Sweep)


def read_sweep(path: Path) -> Sweep:
    """A sweep, with what are paths in it counted from the file's folder. Raises: RecordError, with a line."""
    sweep = read_plain_file(path, _READER)

    def placed(name: str) -> str:
        beside = path.parent / Path(name).expanduser()
        return str(beside) if beside.exists() else name

    return sweep.model_copy(
        update={
            "models": [each.model_copy(update={"model": placed(each.model)}) for each in sweep.models],
            "proposal": sweep.proposal and placed(sweep.proposal),
        }
    )
