"""Pages of a built site, opened in a browser that notes everything that must not happen."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Request

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""What Chromium may be called, the first one found is taken."""
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 800}

_NOTE_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
});
"""


@dataclass
class Watched:
    """A page and what went wrong on it so far: dialogs, errors, violations of its policy, requests to elsewhere."""

    page: Page
    root: Path
    wrong: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Go to a page of the site: its path, with a query or fragment where there is one."""
        self.page.goto(f"{self.root.as_uri()}/{path}", wait_until="load")

    def __post_init__(self) -> None:
        self.page.on("dialog", self._on_dialog)
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("request", self._on_request)

    def _on_dialog(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        if not request.url.startswith((self.root.as_uri(), "data:image/", "blob:")):
            self.wrong.append(f"request: {request.url}")


@contextlib.contextmanager
def watched(browser: Browser, root: Path, *, phone: bool = False, **options: object) -> Iterator[Watched]:
    """A page in a context of its own. options: those of a browser context, like color_scheme."""
    context: BrowserContext = browser.new_context(viewport=PHONE if phone else DESKTOP, **options)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    if options.get("java_script_enabled", True):
        context.add_init_script(_NOTE_VIOLATIONS)
    try:
        yield Watched(context.new_page(), root)
    finally:
        context.close()


def page_types(root: Path, *, one: bool = False) -> list[str]:
    """Pages of every kind that a site has: the largest of each, and unless only `one` is asked for the smallest."""
    kinds: dict[tuple[str, ...], list[Path]] = {}
    for path in sorted(root.rglob("*.html")):
        folder, *deeper = path.relative_to(root).parts
        # Pages that lie in a folder for each entry are of one kind when they have the same name.
        kind = (folder, *([path.name] if len(deeper) > 1 else [""])) if deeper else (path.name,)
        kinds.setdefault(kind, []).append(path)
    found = []
    for pages in kinds.values():
        pages.sort(key=lambda path: (path.stat().st_size, path.as_posix()))
        found += dict.fromkeys(pages[-1:] if one else [pages[-1], pages[0]])
    return [path.relative_to(root).as_posix() for path in found]


SIDEWAYS = """() => {
  const width = window.innerWidth;
  const found = [];
  if (document.documentElement.scrollWidth > width) {
    found.push(`the page is ${document.documentElement.scrollWidth} wide, and the window ${width}`);
  }
  const scrolls = (element) => {
    for (let each = element.parentElement; each && each !== document.body; each = each.parentElement) {
      if (getComputedStyle(each).overflowX !== "visible") return true;
    }
    return false;
  };
  for (const element of document.querySelectorAll(".name, .hostile, h1, h2, p, dl, table, figure, nav, form, pre")) {
    const box = element.getBoundingClientRect();
    if (!box.width || (box.left >= -1 && box.right <= width + 1) || scrolls(element)) continue;
    found.push(`<${element.localName} class="${element.className}"> lies from ${box.left} to ${box.right}: `
      + element.textContent.slice(0, 60));
  }
  return found.slice(0, 5);
}"""
"""What is wider than the window, and does not lie in something that scrolls by itself."""

OVERLAPS = """() => {
  const shown = (element) => element.getClientRects().length && element.checkVisibility({ visibilityProperty: true });
  const said = (element) => element.outerHTML.slice(0, 90);
  const found = [];
  const compare = (boxes) => {
    boxes.forEach(([one, a], number) => {
      for (const [other, b] of boxes.slice(number + 1)) {
        if (one.contains(other) || other.contains(one)) continue;
        const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (wide > 2 && high > 2) found.push(`${said(one)} and ${said(other)}`);
      }
    });
  };
  const box = (element) => [element, element.getBoundingClientRect()];
  const blocks = "h1, h2, h3, main p, .controls > *, .tabs li, header a, figure svg.marks, .scroll, figcaption, dl";
  const scrolled = (element) => element.parentElement.closest(".scroll, .chart, pre");
  compare([...document.querySelectorAll(blocks)].filter((each) => shown(each) && !scrolled(each)).map(box));
  for (const row of [...document.querySelectorAll("tbody tr")].slice(0, 40)) {
    const cells = [...row.cells].filter(shown);
    compare(cells.map(box));
    for (const cell of cells) {
      const b = cell.getBoundingClientRect();
      for (const inner of [...cell.querySelectorAll("*")].filter(shown)) {
        const a = inner.getBoundingClientRect();
        if (a.right > b.right + 2 || a.left < b.left - 2) found.push(`out of its cell: ${said(inner)}`);
      }
    }
  }
  return found.slice(0, 5);
}"""
"""What lies over something else: blocks of text, controls, drawings, cells of tables."""

NOT_INERT = """() => {
  const found = [];
  if (window.__hacked !== undefined || {}.__hacked !== undefined) found.push("a script of a stranger ran");
  const foreign = "iframe, frame, object, embed, base, form[action], [formaction], meta[http-equiv=refresh], marquee, "
    + "script:not([src]):not([type='application/json']), link:not([rel]), svg script, math, animate, foreignObject";
  for (const element of document.querySelectorAll(foreign)) found.push(`there is ${element.outerHTML.slice(0, 90)}`);
  const hidden = /[\\p{Cf}\\p{Co}\\p{Cs}\\u2028\\u2029\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u115f\\u3164\\u2800]/u;
  const check = (text, where) => {
    const character = text.match(hidden)?.[0];
    if (character) found.push(`a raw U+${character.codePointAt(0).toString(16)} in ${where.slice(0, 90)}`);
  };
  const names = ["title", "aria-label", "alt", "placeholder", "label", "value", "content"];
  for (const element of document.querySelectorAll("*")) {
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on")) found.push(`a handler: ${element.outerHTML.slice(0, 90)}`);
      if (names.includes(name)) check(value, element.outerHTML);
    }
    if (element.matches("a[href]") && !["file:", "https:", "http:"].includes(element.protocol)) {
      found.push(`a link: ${element.outerHTML.slice(0, 90)}`);
    }
    if (element.matches("a[href^='http']") && !/nofollow.*noopener|noopener.*nofollow/.test(element.rel)
        && /evil|example\\./.test(element.href)) {
      found.push(`a link that is followed: ${element.outerHTML.slice(0, 90)}`);
    }
    if (element.matches("script")) continue;
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) check(node.data, element.outerHTML);
  }
  return found.slice(0, 8);
}"""
"""What a text of a stranger has become that is more than text: elements, handlers, links, or hidden characters."""
