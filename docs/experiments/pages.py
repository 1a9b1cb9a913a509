"""Tables that experiments write into pages of the documentation."""

import re
from pathlib import Path

from holdfast.tasks import UsageError


def write_tables(page: Path, tables: dict[str, str]) -> None:
    """Replace in a page the first table under each heading. Raises: UsageError where there is none."""
    try:
        page.write_text(written(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    except UsageError as error:
        raise UsageError(f"{page.name} {error}") from None


def written(page: str, tables: dict[str, str]) -> str:
    """A page's text with the first table under each heading replaced; each of Markdown, every line with its end."""
    for heading, table in tables.items():
        place = re.compile(rf"(?ms)(^#+ {re.escape(heading)}\n(?:(?!^#).)*?)(?:^\|[^\n]*\n)+")
        page, replaced = place.subn(lambda match, table=table: match[1] + table, page, count=1)
        if not replaced:
            raise UsageError(f"has no table under the heading '{heading}'; write one there.")
    return page
