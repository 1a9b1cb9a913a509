"""Reported curves: attack success rates taken from a publication, in place of results with per-example records.

They lie in an entry's `curves/<task>/<attack>-<position>.json`. Costs are canonical FLOP per example, so that they
share an axis with measured results.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..benchmark.results import Flop, Share, validated
from .limits import CURVE_BYTES, read_limited


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Strict):
    """A rate over training seeds: median, smallest, largest."""

    median: Share
    low: Share
    high: Share

    @model_validator(mode="after")
    def _in_order(self) -> "Spread":
        if not self.low <= self.median <= self.high:
            raise ValueError("low, median and high are not in order")
        return self


class Point(_Strict):
    """Where the attack stood after an iteration. attack_success_rate: broken so far among clean-correct examples."""

    iteration: Annotated[int, Field(ge=0)]
    cost: Annotated[Flop, Field(description="FLOP per attacked example up to here, median over seeds")]
    attack_success_rate: Spread


class ReportedCurve(_Strict):
    """Figures of one model on one task under one attack."""

    schema_version: Literal[1] = 1
    task: Annotated[str, Field(max_length=64)]
    attack: Annotated[str, Field(max_length=64)]
    position: Annotated[str, Field(max_length=16)]
    parameters: Annotated[int, Field(gt=0, description="N: all parameters, embeddings included")]
    examples: Annotated[int, Field(gt=0, description="Examples that the clean accuracy is over, per seed")]
    seeds: Annotated[int, Field(gt=0, description="Training runs that the spread is over")]
    clean_accuracy: Spread
    points: Annotated[list[Point], Field(min_length=1, max_length=1_000, description="Costs and rates never fall")]
    note: Annotated[str | None, Field(max_length=1_000)] = None

    @cached_property
    def costs(self) -> list[float]:
        """FLOP by point."""
        return [point.cost for point in self.points]

    @cached_property
    def rates(self) -> list[float]:
        """Attack success rate by point, median over seeds."""
        return [point.attack_success_rate.median for point in self.points]

    @model_validator(mode="after")
    def _never_falling(self) -> "ReportedCurve":
        for before, after in zip(self.points, self.points[1:], strict=False):
            if after.iteration <= before.iteration or after.cost < before.cost:
                raise ValueError(f"iterations and costs must grow, and do not at iteration {after.iteration}")
            if after.attack_success_rate.median < before.attack_success_rate.median:
                raise ValueError(f"a broken example stays broken, but the rate falls at iteration {after.iteration}")
        return self


def read_curve(path: Path) -> ReportedCurve:
    """Load a reported curve. Raises: RecordError."""
    return validated(ReportedCurve, read_limited(path, CURVE_BYTES), path, "a reported curve", "import it again")


def curve_json(curve: ReportedCurve) -> bytes:
    """One line per point, so that files stay small and changes readable."""
    data = curve.model_dump(mode="json", exclude_none=True)
    points = data.pop("points")
    head = json.dumps(data, indent=2)[:-2]
    return (head + ',\n  "points": [\n    ' + ",\n    ".join(map(json.dumps, points)) + "\n  ]\n}\n").encode()


def curve_schema() -> str:
    """The JSON Schema of a reported curve, as published under docs/schema/."""
    schema = ReportedCurve.model_json_schema()
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
