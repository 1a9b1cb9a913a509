"""`holdfast train`: make a checkpoint for a task."""


def train() -> None:
    """Train."""
