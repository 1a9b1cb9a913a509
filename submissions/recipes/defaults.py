"""What a task is trained with when nothing else is asked for."""

from dataclasses import dataclass

from ...tasks import GeneratedSource, Task
from .adversarial import AdversarialSettings
from .shapes import Shape
from .standard import StandardSettings


@dataclass(frozen=True)
class Defaults:
    """The settings of every stage, and the shape of a model from scratch."""

    shape: Shape
    standard: StandardSettings
    adversarial: AdversarialSettings


def defaults_for(task: Task) -> Defaults:
    """Settings that train in minutes on two CPU cores: short puzzles can be made at will, data sets have long texts."""
    if isinstance(task.source, GeneratedSource):
        return Defaults(Shape(), StandardSettings(), AdversarialSettings())
    return Defaults(
        Shape(vocabulary=4_000, context=512),
        StandardSettings(examples=None, epochs=3, learning_rate=2e-3, context=512),
        AdversarialSettings(rounds=4, attacked=50, iterations=10, steps=100),
    )
