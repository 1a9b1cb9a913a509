"""The command line of experiments that take long: run what the results lack, or put them into their page as a table."""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pages import write_tables


@dataclass(frozen=True)
class LongRun:
    """about: in a sentence. run: given a mirror of the Hub, or None. table: lines of Markdown.

    page, heading: where the table stands.
    """

    about: str
    run: Callable[[Path | None], None]
    table: Callable[[], Iterable[str]]
    page: Path
    heading: str

    def tables(self) -> dict[str, str]:
        return {self.heading: "".join(f"{line}\n" for line in self.table())}

    def main(self) -> None:
        parser = argparse.ArgumentParser(description=self.about)
        parser.add_argument("--mirror", type=Path, help="a local mirror of the Hub's layout")
        parser.add_argument("--table", action="store_true", help=f"write the results into docs/{self.page.name}")
        asked = parser.parse_args()
        if asked.table:
            write_tables(self.page, self.tables())
        else:
            self.run(asked.mirror)
