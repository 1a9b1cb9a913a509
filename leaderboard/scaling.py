"""What the scaling page is drawn from: every entry on a task under an attack, with its size, training and standing.

Figures from publications and measured ones are never fitted together, nor are several families or publications, since
their examples, prompts and training differ: a `Series` holds what may be.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from ..submissions.entry import Entry
from ..tasks import OFFICIAL_TASKS
from .figures import short_count
from .render import label
from .site import Site
from .standing import Measured, Reported
from .text import plain

FEWEST_SIZES = 5
"""Sizes from which on there is a trend over them to speak of."""
Training = Literal["none", "gcg", "random-token", "other"]
_TRAINED = re.compile(r"-(gcg|random-token)-trained-(round-\d+|last)$")
_SIZE = re.compile(r"\b(\d+(?:\.\d+)?)([kmbt])\b", re.IGNORECASE)
_UNITS = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}
_CORRECTED = "the implied value is used here"
"""What the note of a reported curve says when its published compute was too low [docs/reported.md]."""


class Series(NamedTuple):
    """Models that may be fitted together. source: the title of the publication, or `measured`."""

    source: str
    family: str
    training: Training

    @property
    def label(self) -> str:
        """Not safe in HTML: the family is a stranger's text."""
        measured = " (measured)" if self.source == "measured" else ""
        return f"{plain(self.family, 40)}{measured}, {TRAININGS[self.training]}"


TRAININGS: Mapping[Training, str] = {
    "none": "undefended",
    "gcg": "trained against GCG",
    "random-token": "trained against random tokens",
    "other": "adversarially trained",
}


@dataclass(frozen=True)
class Model:
    """One entry on one task under one attack.

    stage: round-4 or last where the entry is a stage of a training, else empty. doubtful: the publication's own
    figures contradict each other here, so that it is shown and not fitted.
    """

    slug: str
    name: str
    parameters: int
    series: Series
    stage: str
    standing: Measured | Reported
    pretraining: float | None
    defence: float | None
    doubtful: bool

    @cached_property
    def size(self) -> str:
        """As its name says it (Pythia 14m has 7.6 million parameters without the head for words), where that fits."""
        found = _SIZE.search(self.name)
        if found:
            said = float(found[1]) * _UNITS[found[2].lower()]
            if 1 / 3 < said / self.parameters < 3:
                return found[0].lower()
        return short_count(self.parameters)

    @property
    def identity(self) -> tuple[object, ...]:
        """Entries with the same one are the same model, attacked more than once."""
        if isinstance(self.standing, Measured):
            return (self.standing.survival.victim.digest,)
        return (*self.series, self.parameters, self.stage)


def models_of(site: Site) -> dict[tuple[str, str], list[Model]]:
    """All models by task and attack, official tasks first; in each by size.

    Entries whose defence is something other than adversarial training are left out, and victims that are made of
    several checkpoints, which have no one size. Where a family's pretraining compute is said to fall from one size to a
    larger one, none of it is used.
    """
    found: dict[tuple[str, str], list[Model]] = {}
    for slug, held in site.standings.items():
        entry = site.entries[slug]
        if entry.manifest.defence.kind not in ("none", "adversarial-training"):
            continue
        for (task, attack), standing in held.items():
            declared = entry.manifest.tasks.get(task)
            if isinstance(standing, Measured | Reported) and declared and declared.victim is None:
                found.setdefault((task, attack), []).append(_model(entry, task, standing))
    unusable = _contradictory(model for models in found.values() for model in models)
    return {
        key: [
            replace(model, pretraining=None) if model.series[:2] in unusable else model
            for model in sorted(found[key], key=lambda each: (each.parameters, each.slug))
        ]
        for key in sorted(found, key=_place)
    }


def by_series(models: Iterable[Model]) -> dict[Series, list[Model]]:
    """Undefended models first."""
    found: dict[Series, list[Model]] = {}
    for model in models:
        found.setdefault(model.series, []).append(model)
    order = list(TRAININGS)
    return {
        key: found[key] for key in sorted(found, key=lambda key: (key.source == "measured", order.index(key[2]), key))
    }


def one_per_model(models: Iterable[Model], best: Callable[[Model], Any]) -> list[Model]:
    """Each model once: of several entries the one for which `best` is least, so that none counts twice in a fit."""
    chosen: dict[tuple[object, ...], Model] = {}
    for model in models:
        before = chosen.get(model.identity)
        if before is None or (best(model), model.slug) < (best(before), before.slug):
            chosen[model.identity] = model
    return sorted(chosen.values(), key=lambda model: (model.parameters, model.slug))


def sizes(models: Iterable[Model]) -> list[int]:
    return sorted({model.parameters for model in models})


def seeds(model: Model) -> int:
    return model.standing.curve.seeds if isinstance(model.standing, Reported) else 1


def section_name(key: tuple[str, str]) -> str:
    task, attack = key
    return f"{task}, {label(attack)}"


def _model(entry: Entry, task: str, standing: Measured | Reported) -> Model:
    manifest = entry.manifest
    trained = _TRAINED.search(manifest.slug)
    training: Training = "none" if manifest.defence.kind == "none" else "other"
    if training == "other" and trained:
        training = "gcg" if trained[1] == "gcg" else "random-token"
    compute = manifest.tasks[task].compute
    source = manifest.reported.citation.title if manifest.reported else "measured"
    note = standing.curve.note if isinstance(standing, Reported) else None
    return Model(
        slug=manifest.slug,
        name=manifest.name,
        parameters=manifest.tasks[task].parameters,
        series=Series(source, manifest.family, training),
        stage=trained[2] if trained and training != "none" else "",
        standing=standing,
        pretraining=compute.pretraining or None,
        defence=0.0 if training == "none" else compute.defence,
        doubtful=_CORRECTED in (note or ""),
    )


def _contradictory(models: Iterable[Model]) -> set[tuple[str, str]]:
    """The families (source, family) in which a larger model is said to have taken less pretraining than a smaller."""
    known: dict[tuple[str, str], set[tuple[int, float]]] = {}
    for model in models:
        if model.pretraining is not None:
            known.setdefault(model.series[:2], set()).add((model.parameters, model.pretraining))
    return {
        family
        for family, sizes_and_flop in known.items()
        if any(other[1] < one[1] for one, other in pairwise(sorted(sizes_and_flop)))
    }


def _place(key: tuple[str, str]) -> tuple[bool, int, str, bool, str]:
    task, attack = key
    official = task in OFFICIAL_TASKS
    return (not official, OFFICIAL_TASKS.index(task) if official else 0, task, not attack.endswith("suffix"), attack)
