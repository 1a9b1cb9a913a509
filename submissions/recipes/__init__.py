"""Recipes: how to make a classifier for a task, and how to make it harder to break."""

from .adversarial import AdversarialSettings
from .defaults import Defaults, defaults_for
from .recipe import TrainingProgress, train
from .shapes import Shape
from .standard import StandardSettings
from .training_record import Compute, Round, TrainingRecord, read_training_record

__all__ = [
    "AdversarialSettings",
    "Compute",
    "Defaults",
    "Round",
    "Shape",
    "StandardSettings",
    "TrainingProgress",
    "TrainingRecord",
    "defaults_for",
    "read_training_record",
    "train",
]
