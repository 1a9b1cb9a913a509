"""The command line of experiments that take long: run what the results lack, or print them as a table."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path


def main(about: str, run: Callable[[Path | None], None], table: Callable[[], Iterable[str]]) -> None:
    """about: in a sentence. run: given a mirror of the Hub, or None. table: lines of Markdown."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--mirror", type=Path, help="a local mirror of the Hub's layout")
    parser.add_argument("--table", action="store_true", help="print the results as a table")
    asked = parser.parse_args()
    if asked.table:
        print("\n".join(table()))
    else:
        run(asked.mirror)
