"""The project's documents as pages: the method, how to submit, and the rest; and the page for unknown addresses."""

from ..documents import documents
from ..site import Files, Site

_SECTIONS = {"method.html": "Method", "submit.html": "Submit"}


def pages(site: Site) -> Files:
    all_ = documents()
    files: Files = {}
    for document in all_:
        section = _SECTIONS.get(document.path, "")
        files |= site.page(document.path, "document.html", document=document, all=all_, section=section)
    return files | site.page("404.html", "404.html", section="")
