"""Standard training: labelled examples with random tokens in the slot, and no attack."""

from dataclasses import dataclass

from ...tasks import UsageError


@dataclass(frozen=True)
class StandardSettings:
    """examples: how many to train on; None for all there are. filled: share of slots that random tokens are put into.

    context: longest text to train on, in tokens.
    """

    examples: int | None = 40_000
    epochs: int = 4
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    filled: float = 0.4
    context: int = 256

    def __post_init__(self) -> None:
        positive(self, "epochs", "batch_size", "learning_rate", "context")
        share(self, "filled")
        if self.examples is not None:
            positive(self, "examples")


def share(settings: object, name: str) -> None:
    """Raises: UsageError when this setting is not a share, from 0 to 1."""
    value = getattr(settings, name)
    if not 0 <= value <= 1:
        raise UsageError(f"{name} is a share from 0 to 1, not {value}.")


def positive(settings: object, *names: str) -> None:
    """Raises: UsageError when one of these settings is not above zero."""
    for name in names:
        value = getattr(settings, name)
        if value <= 0:
            raise UsageError(f"{name.replace('_', ' ')} must be above zero, not {value}.")
