"""The bundled checkpoints: small, real, made by `holdfast train` with the commands in README.md beside them."""

from pathlib import Path

from ...tasks import UsageError

_FOLDER = Path(__file__).parent


def checkpoint_names() -> list[str]:
    """Names of the bundled checkpoints."""
    return sorted(folder.name for folder in _FOLDER.iterdir() if (folder / "config.json").is_file())


def checkpoint_folder(name: str) -> Path:
    """The folder of a bundled checkpoint. Raises: UsageError when there is none of that name."""
    if name not in checkpoint_names():
        raise UsageError(f"There is no bundled checkpoint '{name}'; there are {', '.join(checkpoint_names())}.")
    return _FOLDER / name
