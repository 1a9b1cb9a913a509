"""holdfast.cli: the `holdfast` command. It parses, calls the other rooms, and shows what they return."""

from .app import main

__all__ = ["main"]
