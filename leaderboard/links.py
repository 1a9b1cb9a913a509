"""Links of strangers: only to addresses that a manifest may hold, and without a recommendation of ours."""

from markupsafe import Markup
from pydantic import TypeAdapter, ValidationError

from ..submissions.manifest import Link
from .text import visible

_ADDRESS: TypeAdapter[str] = TypeAdapter(Link)


def linked(text: str, url: str | None, limit: int) -> Markup:
    """A stranger's text, as a link where there is an address that may be one. limit: characters shown at most."""
    shown = visible(text, limit)
    if url is None or not _is_address(url):
        return Markup('<span class="name">{}</span>').format(shown)
    return Markup('<a class="name" href="{}" rel="nofollow noopener noreferrer external">{}</a>').format(url, shown)


def _is_address(url: str) -> bool:
    """Checked again here, because nothing else stands between an address and a click."""
    try:
        _ADDRESS.validate_python(url)
    except ValidationError:
        return False
    return True
