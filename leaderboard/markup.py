"""What is wrong with one HTML page by itself, and what it links to.

Pages of this site close every element that they open; so balance is checked by a stack, and what a browser would
silently repair is a problem.
"""

import json
import re
from dataclasses import dataclass, field
from html.entities import html5
from html.parser import HTMLParser
from typing import NamedTuple

from . import elements
from .policy import weak_points

_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ue000-\uf8ff\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Characters that no page holds as themselves: control, bidirectional, zero-width, private, tags."""
_LOADED = {"script": "src", "img": "src", "source": "src", "use": "href", "image": "href"}
_LOADING_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}


class Link(NamedTuple):
    """One address in a page. loads: the page loads it by itself, instead of a reader following it."""

    line: int
    target: str
    loads: bool


@dataclass
class Page:
    """A page that was read. problems: line and message."""

    ids: set[str] = field(default_factory=set)
    links: list[Link] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def read_page(text: str) -> Page:
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), start=1):
        for character in sorted(set(_HIDDEN.findall(line))):
            reader.page.problems.append((number, f"the hidden character U+{ord(character):04X} stands in the page"))
    reader.feed(text)
    reader.close()
    reader.finish()
    reader.page.problems.sort()
    return reader.page


@dataclass
class _Open:
    """An element that is open. named: there is something in it that a screen reader can say."""

    name: str
    line: int
    attributes: dict[str, str]
    named: bool = False
    children: int = 0


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.page = Page()
        self._open: list[_Open] = []
        self._seen: dict[str, int] = {}
        self._heading = 0
        self._references: list[tuple[int, str, str]] = []
        self._controls: list[tuple[int, str, str | None]] = []
        self._labelled: set[str] = set()
        self._has_policy = False
        self._data = ""

    # What the parser calls.

    def handle_decl(self, decl: str) -> None:
        if decl.lower() != "doctype html" or self._seen:
            self._problem(f"<!{decl}> should be <!doctype html> and stand first")
        self._seen["!doctype"] = 1

    def unknown_decl(self, data: str) -> None:
        self._problem(f"<![{data[:40]}]> is no HTML")

    def handle_pi(self, data: str) -> None:
        self._problem(f"<?{data[:40]}> is no HTML")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs)
        if tag in elements.VOID and not self._in_drawing():
            self._end(self._open.pop())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._start(tag, attrs)
        if tag not in elements.VOID and not self._in_drawing():
            self._problem(f"<{tag}/> closes nothing in HTML; write <{tag}></{tag}>")
        self._end(self._open.pop())

    def handle_endtag(self, tag: str) -> None:
        if not any(each.name == tag for each in self._open):
            self._problem(f"</{tag}> closes nothing that is open")
            return
        while (element := self._open.pop()).name != tag:
            self._problem(f"<{element.name}> is not closed before </{tag}>", element.line)
        self._end(element)

    def handle_data(self, data: str) -> None:
        parent = self._open[-1] if self._open else None
        if parent is not None and parent.name == "script":
            self._data += data
            return
        if "<" in data:
            self._problem("a < that opens nothing must be written &lt;")
        if data.strip():
            self._text(data)

    def handle_charref(self, name: str) -> None:
        number = int(name[1:], 16) if name[:1] in "xX" else int(name)
        if number > 0x10FFFF or 0xD800 <= number < 0xE000 or _HIDDEN.match(chr(number)):
            self._problem(f"&#{name}; stands for a hidden character, or for none")
        self._text("x")

    def handle_entityref(self, name: str) -> None:
        if f"{name};" not in html5:
            self._problem(f"&{name} is no character; write &amp; for an ampersand")
        self._text("x")

    # Elements.

    def _start(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        for name in sorted({name for name, _ in attrs if sum(name == each for each, _ in attrs) > 1}):
            self._problem(f"<{tag}> has the attribute {name} twice")
        drawing = self._in_drawing()
        self._check_place(tag, drawing)
        if not drawing and not self._in_template():
            self._seen[tag] = self._seen.get(tag, 0) + 1
        if self._open:
            self._open[-1].children += 1
        self._check_attributes(tag, attributes, drawing)
        self._check_element(tag, attributes, drawing)
        self._find_links(tag, attributes)
        self._open.append(_Open(tag, self.getpos()[0], attributes))
        if attributes.get("aria-label", "").strip() or (tag == "img" and attributes.get("alt", "").strip()):
            self._text("x")

    def _end(self, element: _Open) -> None:
        """An element is complete; it is no longer on the stack."""
        named = element.named or {"aria-labelledby", "title"} & element.attributes.keys()
        filled_later = any(each.name == "template" or "hidden" in each.attributes for each in (*self._open, element))
        if element.name in elements.SPOKEN and not named and not filled_later and not self._in_drawing():
            self._problem(f"<{element.name}> has no text", element.line)
        if element.name == "script" and element.attributes.get("type") == "application/json":
            try:
                json.loads(self._data)
            except ValueError as error:
                self._problem(f"the data in <script> is not JSON ({error})", element.line)
        elif element.name == "script" and self._data.strip():
            self._problem("a script stands in the page; it must lie in a file", element.line)
        self._data = ""

    def _check_place(self, tag: str, drawing: bool) -> None:
        if drawing:
            return
        parent = self._open[-1].name if self._open else None
        if tag in elements.PARENTS and parent not in elements.PARENTS[tag] and parent != "template":
            self._problem(f"<{tag}> must not lie in <{parent}>")
        elif parent in elements.CHILDREN and tag not in elements.CHILDREN[parent]:
            self._problem(f"<{tag}> must not lie directly in <{parent}>")
        elif tag == "caption" and self._open[-1].children:
            self._problem("<caption> must be the first in its table")
        if parent == "html" and tag not in ("head", "body"):
            self._problem(f"<{tag}> must not lie directly in <html>")
        above = [each.name for each in self._open]
        if tag in elements.NOT_IN_A_PARAGRAPH and "p" in above:
            self._problem(f"<{tag}> ends the paragraph that it lies in")
        for outer in ("a", "button", "label", "form"):
            wrong = elements.INTERACTIVE - {"label"} if outer in ("a", "button") else {outer}
            if outer in above and tag in wrong:
                self._problem(f"<{tag}> must not lie in <{outer}>")

    def _check_attributes(self, tag: str, attributes: dict[str, str], drawing: bool) -> None:
        for name, value in attributes.items():
            if name == "style":
                self._problem(f"<{tag}> has a style of its own; styles lie in stylesheets")
            elif name.startswith("on"):
                self._problem(f"<{tag}> has the inline handler {name}; handlers lie in scripts")
            elif name == "id":
                if not value or re.search(r"\s", value):
                    self._problem(f"the id {value!r} of <{tag}> is empty or has a space")
                if value in self.page.ids:
                    self._problem(f"the id {value!r} is given twice")
                self.page.ids.add(value)
            elif name in elements.REFERENCES and not drawing:
                self._references += [(self.getpos()[0], name, each) for each in value.split()]
            elif (
                not drawing
                and name not in elements.ATTRIBUTES.get(tag, {name})
                and not name.startswith(("aria-", "data-"))
            ):
                self._problem(f"<{tag}> must not have the attribute {name}")

    def _check_element(self, tag: str, attributes: dict[str, str], drawing: bool) -> None:
        if tag in elements.FORBIDDEN or (drawing and tag == "script"):
            self._problem(f"<{tag}> must not stand in a {'drawing' if drawing else 'page'}")
        elif not drawing and tag != "svg" and tag not in elements.ATTRIBUTES:
            self._problem(f"<{tag}> is no element of HTML, or an obsolete one")
        if tag == "html" and not attributes.get("lang", "").strip():
            self._problem("<html> does not name its language in lang")
        if tag == "img" and "alt" not in attributes:
            self._problem("<img> has no alt; describe it, or leave alt empty when it says nothing")
        if tag == "th" and attributes.get("scope") not in ("row", "col", "rowgroup", "colgroup"):
            self._problem("<th> does not say in scope what it heads")
        if tag == "svg" and not drawing and not _hidden_or_image(attributes):
            self._problem("<svg> is neither hidden from screen readers nor an image with a name")
        if re.fullmatch("h[1-6]", tag) and not self._in_template():
            self._check_heading(tag)
        if attributes.get("http-equiv", "").lower() == "content-security-policy":
            self._check_policy(attributes.get("content", ""))
        if tag == "label":
            self._labelled.add(attributes.get("for", ""))
        if tag in elements.CONTROLS and attributes.get("type") not in ("hidden", "submit", "button", "reset"):
            named = {"aria-label", "aria-labelledby"} & attributes.keys()
            if not named and not any(each.name == "label" for each in self._open):
                self._controls.append((self.getpos()[0], tag, attributes.get("id")))

    def _check_heading(self, tag: str) -> None:
        level = int(tag[1])
        if level > self._heading + 1:
            before = f"after <h{self._heading}>" if self._heading else "before there is an <h1>"
            self._problem(f"<{tag}> skips a level {before}")
        self._heading = level

    def _check_policy(self, policy: str) -> None:
        if {"script", "link", "body"} & self._seen.keys():
            self._problem("the content security policy comes after what it should govern")
        self._has_policy = True
        for weak in weak_points(policy):
            self._problem(f"the content security policy is weak: {weak}")

    def _find_links(self, tag: str, attributes: dict[str, str]) -> None:
        line = self.getpos()[0]
        relations = set(attributes.get("rel", "").lower().split())
        for name in ("href", "xlink:href", "src"):
            if name not in attributes:
                continue
            loads = _LOADED.get(tag) == name.removeprefix("xlink:") or bool(
                tag == "link" and relations & _LOADING_RELATIONS
            )
            self.page.links.append(Link(line, attributes[name], loads))
        for part in attributes.get("srcset", "").split(","):
            if part.strip():
                self.page.links.append(Link(line, part.split()[0], True))
        for value in (attributes[name] for name in elements.PAINTED & attributes.keys()):
            for target in re.findall(r"""url\(\s*['"]?([^'")]*)""", value):
                self.page.links.append(Link(line, target, True))

    def finish(self) -> None:
        """What only the whole page shows."""
        for element in self._open:
            self._problem(f"<{element.name}> is not closed", element.line)
        if "!doctype" not in self._seen:
            self._problem("the page does not begin with <!doctype html>", 1)
        for name in ("html", "title", "main", "h1"):
            if (count := self._seen.get(name, 0)) != 1:
                self._problem(f"the page has {count or 'no'} <{name}>, and should have one", 1)
        if not self._has_policy:
            self._problem("the page has no content security policy", 1)
        for line, name, target in self._references:
            if target not in self.page.ids:
                self._problem(f"{name} names the id {target!r}, and there is none", line)
        for line, tag, id in self._controls:
            if id not in self._labelled:
                self._problem(f"<{tag}> has no label", line)

    # Small things.

    def _in_drawing(self) -> bool:
        return any(each.name == "svg" for each in self._open)

    def _in_template(self) -> bool:
        """Whether what stands here is no part of the page until a script takes it."""
        return any(each.name == "template" for each in self._open)

    def _text(self, data: str) -> None:
        for element in self._open:
            element.named = True
        if not self._open:
            self._problem("text stands outside of <html>")

    def _problem(self, message: str, line: int | None = None) -> None:
        self.page.problems.append((line or self.getpos()[0], message))


def _hidden_or_image(attributes: dict[str, str]) -> bool:
    """Whether a drawing is nothing to a screen reader, or one image with a name."""
    named = bool({"aria-label", "aria-labelledby"} & attributes.keys())
    return attributes.get("aria-hidden") == "true" or (attributes.get("role") == "img" and named)
