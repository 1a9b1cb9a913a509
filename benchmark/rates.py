"""How fast a device attacks: what docs/experiments/throughput.py measured of it, and what follows for other shapes.

Between the shapes and lengths that were measured everything is interpolated, over the logarithm of parameters and of
tokens; beyond them the nearest holds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..tasks import RecordError, UsageError
from .attacks import Attack, get_attack
from .model_shape import ModelShape, get_shape


@dataclass(frozen=True)
class Pace:
    """How one attack runs.

    executed: FLOP really executed, per FLOP of candidates that share nothing but their prefix. share: of the device's
    matrix rate, while the model runs. outside: seconds per candidate that are not spent in the model.
    """

    executed: float
    share: float
    outside: float


@dataclass(frozen=True)
class Point:
    """A pace that was measured."""

    attack: str
    parameters: int
    tokens: int
    pace: Pace


@dataclass(frozen=True)
class Rates:
    """A device. matrix_rate, float32_rate: FLOP per second of large matrix products, in the attack's dtype and the
    judge's. memory: bytes; None on a CPU. share: of the matrix rate, where it is assumed and not as in the points.
    """

    device: str
    dtype: str
    matrix_rate: float
    float32_rate: float
    memory: float | None
    points: tuple[Point, ...]
    share: float | None = None

    def pace(self, attack: str, parameters: int, tokens: float) -> Pace:
        """The pace of an attack on a model of so many parameters, at texts of so many tokens. Raises: UsageError."""
        points = [point for point in self.points if point.attack == attack]
        if not points:
            raise UsageError(f"No rate of the attack {attack} was measured on {self.device}; measure it first.")

        def between(value: Mapping[Point, float]) -> float:
            lengths = sorted({point.tokens for point in points})
            at_lengths = []
            for length in lengths:
                row = sorted((point.parameters, value[point]) for point in points if point.tokens == length)
                at_lengths.append(np.interp(np.log(parameters), *_curve(row)))
            return float(np.interp(np.log(tokens), *_curve(list(zip(lengths, at_lengths, strict=True)))))

        return Pace(
            executed=between({point: point.pace.executed for point in points}),
            share=self.share or between({point: point.pace.share for point in points}),
            outside=between({point: point.pace.outside for point in points}),
        )

    def assuming(self, device: str, *, share: float, matrix_rate: float, float32_rate: float, memory: float) -> "Rates":
        """A card that was not measured: it reaches a share of its matrix rate, and what is outside the model stays."""
        return replace(
            self,
            device=device,
            dtype="bfloat16",
            share=share,
            matrix_rate=matrix_rate,
            float32_rate=float32_rate,
            memory=memory,
        )


def plain_flop(shape: ModelShape, attack: Attack, prefix: int, tail: int) -> float:
    """FLOP per candidate of an attack whose candidates share nothing but the prefix, its gradients spread over them."""
    gradient = shape.gradient_flop(prefix, tail) / attack.candidates if attack.uses_gradient else 0.0
    return shape.candidate_flop(prefix, tail) + gradient


def read_rates(path: Path) -> Rates:
    """What was measured of a device. Raises: RecordError when the file cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Rates(
            device=found["device"],
            dtype=found["dtype"],
            matrix_rate=found["matrix_rate"],
            float32_rate=found["float32_matrix_rate"],
            memory=found["memory"],
            points=tuple(_point(each, found["matrix_rate"]) for each in found["measured"]),
        )
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError) as error:
        raise RecordError(
            f"{path} holds no rates of a device ({type(error).__name__}: {error}); docs/experiments/throughput.py "
            "measures them."
        ) from error


def _point(measured: dict[str, Any], matrix_rate: float) -> Point:
    attack, shape = get_attack(measured["attack"]), get_shape(measured["shape"])
    candidates, executed, seconds = measured["candidates"], measured["executed"], measured["seconds"]
    plain = candidates * plain_flop(shape, attack, measured["prefix"], measured["tail"])
    pace = Pace(
        executed=executed / plain,
        share=executed / seconds["model"] / matrix_rate,
        outside=(seconds["tokenization"] + seconds["rest"]) / candidates,
    )
    return Point(attack.name, shape.parameters, measured["tokens"], pace)


def _curve(points: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Places on a logarithmic axis, and values there."""
    places, values = np.array(points, dtype=float).T
    return np.log(places), values
