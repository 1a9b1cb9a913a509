"""From templates to pages: the Jinja environment, and what every page has.

Everything is escaped by default. Links between pages are relative, so that a site works from any folder and from
`file://`; `root` leads from a page back to the top.
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..benchmark import TIERS, format_gpu_time
from ..tasks import UsageError, get_task
from . import figures, quantities
from .links import linked
from .text import plain, visible

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)
"""The content security policy of every page. Live reload while editing alone adds a connection to its own server."""


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(
        visible=visible,
        plain=plain,
        linked=linked,
        gpu_time=format_gpu_time,
        flop=figures.flop,
        power=figures.power,
        percent=quantities.percent,
        number=figures.count,
        short=figures.short_count,
        tenths=quantities.tenths,
        label=label,
        task_title=task_title,
    )
    made.globals.update(TIERS=TIERS, POLICY=POLICY, version=version("holdfast"))
    return made


def render(template: str, path: str, context: Mapping[str, object]) -> bytes:
    """One page. path: where it will lie in the site, as in entries/my-model.html."""
    depth = path.count("/")
    page = environment().get_template(template).render(root="../" * depth, path=path, **context)
    return page.encode()


def script_data(content: str) -> Markup:
    """JSON for a <script type="application/json">: nothing in it can end the element."""
    return Markup(content.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def task_title(name: str) -> str:
    """A task as its declaration calls it: imdb -> IMDB."""
    try:
        return get_task(name).title
    except UsageError:
        return label(name).capitalize()


def label(name: str) -> str:
    """An attack, position or defence as people read it: gcg-20-suffix -> GCG, 20 tokens, suffix."""
    attack, dash, position = name.rpartition("-")
    if dash and position in ("suffix", "infix", "prefix"):
        return f"{_attack(attack)}, {position}"
    return _attack(name)


_ABBREVIATED = {"gcg": "GCG", "gcg_plus": "GCG plus", "beast": "BEAST", "beast_lm": "BEAST LM"}


def _attack(name: str) -> str:
    attack, dash, length = name.rpartition("-")
    if dash and length.isdecimal():
        return f"{_attack(attack)}, {length} tokens"
    return _ABBREVIATED.get(name, name.replace("_", " ").replace("-", " "))
