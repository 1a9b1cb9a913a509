"""Pictures of a built site: one page of every kind, on a desktop, on a phone, and in the dark (`make screenshots`)."""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from watched_pages import BROWSERS, Watched, page_types, watched

LOOKS = {
    "desktop": {},
    "phone": {"phone": True, "device_scale_factor": 2},
    "dark": {"color_scheme": "dark"},
}
TALLEST = 2600
"""Pixels of a page that a picture shows at most."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("site", type=Path, help="a folder that `holdfast site build` wrote")
    parser.add_argument("--out", type=Path, default=Path("build/screenshots"), help="folder for the pictures")
    parser.add_argument("--readme", type=Path, help="folder for the two pictures of the README, in place of all that")
    given = parser.parse_args()
    if not (given.site / "index.html").is_file():
        sys.exit(f"{given.site} is no site; build one with `holdfast site build --out {given.site}`.")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        sys.exit(f"There is no browser; install one of {', '.join(BROWSERS)}.")
    given.out.mkdir(parents=True, exist_ok=True)
    root = given.site.resolve()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        if given.readme:
            with watched(browser, root) as visit:
                _pictures_of_readme(visit, given.readme)
            return
        for look, options in LOOKS.items():
            with watched(browser, root, **options) as visit:
                for path in page_types(root):
                    visit.open(path)
                    box = visit.page.evaluate(
                        "[document.documentElement.clientWidth, document.documentElement.scrollHeight]"
                    )
                    clip = {"x": 0, "y": 0, "width": box[0], "height": min(box[1], TALLEST)}
                    name = path.removesuffix(".html").replace("/", "-")
                    visit.page.screenshot(path=given.out / f"{name}-{look}.png", full_page=True, clip=clip)
        browser.close()
    print(f"{len(list(given.out.glob('*.png')))} pictures in {given.out}")


def _pictures_of_readme(visit: Watched, out: Path) -> None:
    """The first chart, and the head of the table below it, of one task."""
    out.mkdir(parents=True, exist_ok=True)
    visit.page.set_viewport_size({"width": 1360, "height": 900})
    visit.open("leaderboard/imdb.html")
    for name, selector, tallest in (
        ("compute-against-robustness", "section[aria-labelledby=chart-heading]", 580),
        ("leaderboard", "section[aria-labelledby=table-heading]", 660),
    ):
        box = visit.page.locator(selector).bounding_box()
        assert box is not None
        margin = 12
        clip = {
            "x": box["x"] - margin,
            "y": box["y"] - margin,
            "width": box["width"] + 2 * margin,
            "height": min(box["height"], tallest),
        }
        visit.page.screenshot(path=out / f"{name}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    main()
