"""`holdfast site check`: whether a built site is whole, before it is published.

Every link leads somewhere, every page is sound HTML that a screen reader can use, nothing is loaded from elsewhere and
nothing runs that lies in a page, every data file can be read, and no page is heavy. Nothing is requested over the
network: links that lead out of the site are only read.
"""

import gzip
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from .markup import Page, read_page

HEAVIEST = 250_000
"""Bytes that a page may take with all that it loads by itself, compressed."""
_CALL = re.compile(r"\s*[\w.$]+\((.*)\)\s*;?\s*", re.DOTALL)
_CSS_ADDRESS = re.compile(r"""url\(\s*['"]?([^'")]*)|@import\s+['"]([^'"]*)""")


@dataclass(frozen=True, order=True)
class Fault:
    """One thing that is wrong. file: inside the site."""

    file: str
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: {self.message}."


def check_site(folder: Path) -> list[Fault]:
    """Everything that is wrong with a built site, by file and line; empty when it is sound."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    if "index.html" not in files:
        return [Fault("index.html", None, "this folder is no site: it has no such file")]
    pages: dict[str, Page] = {}
    faults: list[Fault] = []
    for name, path in files.items():
        try:
            content = path.read_bytes()
            if name.endswith(".html"):
                pages[name] = read_page(content.decode())
                faults += [Fault(name, line, message) for line, message in pages[name].problems]
            else:
                faults += _faults_of_data(name, content, files)
        except UnicodeDecodeError:
            faults.append(Fault(name, None, "the file is not UTF-8"))
    home = _address_of(files["index.html"])
    for name, page in pages.items():
        faults += _faults_of_links(name, page, pages, files, home)
    faults += _heavy_pages(pages, files)
    return sorted(faults, key=lambda fault: (fault.file, fault.line or 0, fault.message))


# Links.


def _faults_of_links(
    name: str, page: Page, pages: Mapping[str, Page], files: Mapping[str, Path], home: str | None
) -> Iterator[Fault]:
    for line, target, loads in page.links:
        said = f"the link {target[:120]!r}"
        if loads and target.startswith("data:image/"):
            continue
        inside = target.removeprefix(home) if home and target.startswith(home) else None
        try:
            parts = urlsplit(target)
            outside = parts.scheme or parts.netloc
        except ValueError:
            yield Fault(name, line, f"{said} cannot be read")
            continue
        if inside is not None:
            parts = urlsplit(inside)
        elif outside:
            if loads:
                yield Fault(name, line, f"the page loads {target[:120]!r} from elsewhere")
            elif problem := _bad_address(target):
                yield Fault(name, line, f"{said} {problem}")
            continue
        found = name if not parts.path and inside is None else _inside(name if inside is None else "", parts.path)
        if found is None:
            yield Fault(name, line, f"{said} leads out of the site")
        elif found not in files:
            yield Fault(name, line, f"{said} leads to a file that is not there")
        elif found in pages and _is_missing(parts.fragment, pages[found]):
            yield Fault(name, line, f"{said} leads to a place in {found} that is not there")


def _is_missing(fragment: str, page: Page) -> bool:
    """Whether a fragment names an id that a page does not have; one with = is the state of a page's script."""
    return bool(fragment) and "=" not in fragment and unquote(fragment) not in page.ids


def _inside(page: str, path: str) -> str | None:
    """The file of the site that a path in one of its pages means; None when it leads out of the site."""
    found = normpath((PurePosixPath(page).parent / unquote(path)).as_posix())
    if path.startswith("/") or found.startswith(".."):
        return None
    return "index.html" if found == "." and not page else found


def _bad_address(target: str) -> str | None:
    """What is wrong with an address outside of the site, as it is written."""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https"):
        return "does not begin with https:// or http://"
    try:
        if not parts.hostname or "." not in parts.hostname or parts.port == 0:
            return "names no host"
    except ValueError:
        return "has a port that is no number"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or password"
    return None if re.fullmatch(r"[!-~]+", target) else "is not plain ASCII without spaces"


def _address_of(index: Path) -> str | None:
    """Where the site will be, as its own first page says."""
    said = re.search(r'<link rel="canonical" href="([^"]*?)(?:index\.html)?">', index.read_text(encoding="utf-8"))
    return said[1] if said else None


# Data.


def _faults_of_data(name: str, content: bytes, files: Mapping[str, Path]) -> Iterator[Fault]:
    suffix = PurePosixPath(name).suffix
    if suffix in (".xml", ".svg"):
        yield from _faults_of_xml(name, content)
    elif suffix == ".json":
        try:
            json.loads(content, parse_constant=_no_constant)
        except ValueError as error:
            yield Fault(name, getattr(error, "lineno", None), f"the file is not JSON ({error})")
    elif suffix == ".js" and name.startswith("data/"):
        call = _CALL.fullmatch(content.decode())
        try:
            json.loads(f"[{call[1] if call else '!'}]", parse_constant=_no_constant)
        except ValueError:
            yield Fault(name, None, "the file is not a single call with JSON")
    elif suffix == ".css":
        for each in _CSS_ADDRESS.finditer(content.decode()):
            target = each[1] or each[2] or ""
            line = content.decode().count("\n", 0, each.start()) + 1
            if target.startswith(("data:image/", "#")):
                continue
            if urlsplit(target).scheme or target.startswith("//") or _inside(name, target) not in files:
                yield Fault(name, line, f"the address {target[:120]!r} leads to no file of the site")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _faults_of_xml(name: str, content: bytes) -> Iterator[Fault]:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        yield Fault(name, None, "the file declares a document type or entities")
        return
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        yield Fault(name, error.position[0], f"the file is not well-formed XML ({error})")
        return
    if not name.endswith(".svg"):
        return
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        if tag in ("script", "foreignobject", "iframe"):
            yield Fault(name, None, f"<{tag}> must not stand in a drawing")
        for attribute, value in element.attrib.items():
            key = attribute.rpartition("}")[2].lower()
            if key.startswith("on") or (key == "href" and not value.startswith(("#", "data:image/"))):
                yield Fault(name, None, f"<{tag}> must not have {key}={value[:60]!r}")


# Sizes.


def _heavy_pages(pages: Mapping[str, Page], files: Mapping[str, Path]) -> Iterator[Fault]:
    @cache
    def weight(name: str) -> int:
        return len(gzip.compress(files[name].read_bytes(), 6))

    for name, page in pages.items():
        loaded = {_inside(name, urlsplit(link.target).path) for link in page.links if link.loads}
        total = sum(weight(each) for each in {name, *loaded} if each in files)
        if total > HEAVIEST:
            yield Fault(name, None, f"the page takes {total:,} bytes compressed, and should take at most {HEAVIEST:,}")
