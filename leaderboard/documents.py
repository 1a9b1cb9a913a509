"""The project's own documents (docs/*.md) as HTML, so that site and repository never say different things."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from posixpath import relpath

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

DOCUMENTS = Path(__file__).resolve().parents[1] / "docs"
"""Beside the code in a checkout and in an installation alike."""

_OWN_PAGES = {"method.md": "method.html", "submitting.md": "submit.html"}
"""Documents that the site's navigation leads to."""

_SCROLLED = '<div class="scroll" tabindex="0" role="region" aria-label="Table {number}"><table>'


@dataclass(frozen=True)
class Document:
    """title: of its first heading, which is not part of the body. path: inside the site."""

    path: str
    title: str
    body: Markup


def document_path(name: str) -> str:
    """Where a document lies in the site: method.md -> method.html, api.md -> docs/api.html."""
    return _OWN_PAGES.get(name, f"docs/{name.removesuffix('.md')}.html")


def documents() -> list[Document]:
    """All documents, by name."""
    names = [path.name for path in sorted(DOCUMENTS.glob("*.md"))]
    return [document(name, names) for name in names]


def document(name: str, names: Sequence[str]) -> Document:
    """One document; links to the others lead to their pages, and links to other files of the repository are text."""
    path = document_path(name)
    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = renderer.parse((DOCUMENTS / name).read_text(encoding="utf-8"))
    title = tokens[1].content if tokens and tokens[0].type == "heading_open" else name
    _number_headings(tokens)
    for token in tokens:
        if token.children:
            token.children = _with_links(token.children, path, names)
        if token.type == "th_open":
            token.attrSet("scope", "col")
    body = renderer.renderer.render(tokens[3:], renderer.options, {})
    tables = count(1)
    body = re.sub("<table>", lambda _: _SCROLLED.format(number=next(tables)), body)
    body = body.replace("</table>", "</table></div>").replace('<th scope="col"></th>', "<td></td>")
    body = re.sub(r' style="text-align:(left|right|center)"', lambda match: f' class="{match[1]}"', body)
    return Document(path, title, Markup(body))


def _number_headings(tokens: Sequence[Token]) -> None:
    """Every heading gets the id that links to it use: its words in small letters, joined by dashes."""
    seen: dict[str, int] = {}
    for token, text in pairwise(tokens):
        if token.type == "heading_open":
            words = re.sub(r"[^\w\- ]", "", text.content.lower()).replace(" ", "-")
            seen[words] = seen.get(words, -1) + 1
            token.attrSet("id", words if not seen[words] else f"{words}-{seen[words]}")


def _with_links(children: Sequence[Token], path: str, names: Sequence[str]) -> list[Token]:
    kept: list[Token] = []
    dropped = 0
    for token in children:
        if token.type == "link_open":
            target = _target(str(token.attrGet("href")), path, names)
            if target is None:
                dropped += 1
                continue
            token.attrSet("href", target)
        elif token.type == "link_close" and dropped:
            dropped -= 1
            continue
        kept.append(token)
    return kept


def _target(href: str, path: str, names: Sequence[str]) -> str | None:
    """Where a link leads on the site; None for what is not on it."""
    if href.startswith(("#", "https://", "http://")):
        return href
    file, hash_, fragment = href.partition("#")
    if file in names:
        return relpath(document_path(file), Path(path).parent.as_posix()) + hash_ + fragment
    if file.startswith("schema/") and file.endswith(".json"):
        return relpath(f"api/{file}", Path(path).parent.as_posix())
    return None
