"""The page of one entry."""

from ..site import Files, Site


def entry_files(site: Site, slug: str) -> Files:
    return {}
