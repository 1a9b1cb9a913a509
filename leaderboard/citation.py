"""How to cite an entry, as BibTeX."""

from collections.abc import Mapping

from ..submissions.entry import Entry
from .text import plain

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_"},
}


def bibtex_of(entry: Entry, url: str | None) -> str:
    """The entry on this leaderboard. url: of its page, where that is known."""
    manifest = entry.manifest
    fields = {
        "title": f"{_tex(manifest.name)}, an entry of the Holdfast leaderboard",
        "author": _people([author.name for author in manifest.authors]),
        "year": str(manifest.submitted.year),
        "url": url,
    }
    return _record("misc", f"holdfast-{manifest.slug}", fields)


def bibtex_of_source(entry: Entry) -> str | None:
    """The publication that an entry's figures are taken from; None for measured entries."""
    if entry.manifest.reported is None:
        return None
    citation = entry.manifest.reported.citation
    fields = {
        "title": _tex(citation.title),
        "author": _people(citation.authors),
        "year": str(citation.year),
        "url": citation.url,
    }
    return _record("article", f"{entry.slug}-source", fields)


def _record(kind: str, key: str, fields: Mapping[str, str | None]) -> str:
    lines = [f"  {name:<6} = {{{value}}}" for name, value in fields.items() if value is not None]
    return f"@{kind}{{{key},\n" + ",\n".join(lines) + "\n}\n"


def _people(names: list[str]) -> str:
    """Joined as BibTeX joins them. A name that it would take apart, or a group's, stays as it is in braces."""
    whole = [f"{{{_tex(name)}}}" if " and " in name or "," in name or _group(name) else _tex(name) for name in names]
    return " and ".join(whole)


def _group(name: str) -> bool:
    return name.lower().startswith("the ")


def _tex(text: str) -> str:
    return "".join(_SPECIAL.get(character, character) for character in plain(text))
