"""The real site, built once, and a browser to open it in."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from watched_pages import BROWSERS

REGISTRY = Path(__file__).resolve().parents[2] / "submissions"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, one for all tests of the site. Only continuous integration cannot do without."""
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        reason = f"needs a browser: install one of {', '.join(BROWSERS)}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the registry in this checkout, without the data sets that are not at hand."""
    from holdfast.leaderboard.build import build

    out = tmp_path_factory.mktemp("built") / "site"
    build(REGISTRY, out)
    return out
