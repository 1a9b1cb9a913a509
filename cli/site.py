"""`holdfast site`: build the leaderboard's pages, serve them while they are edited, check them."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..tasks import RecordError, UsageError, task_names
from .options import Mirror
from .terminal import duration, err, out, visible

if TYPE_CHECKING:
    from ..leaderboard.build import Built

app = typer.Typer(help="Build, serve and check the leaderboard's site.", no_args_is_help=True)

RegistryArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[REGISTRY]", help="The folder that has entries/.", show_default="submissions, in a checkout"
    ),
]
Url = Annotated[
    str | None, typer.Option("--url", help="Where the site will be published, for feed, sitemap and preview images.")
]


@app.command("build")
def build(
    registry: RegistryArgument = None,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder to build into.")] = Path("site"),
    url: Url = None,
    mirror: Mirror = None,
) -> None:
    """Render the registry into static pages; what did not change is left as it is."""
    from ..leaderboard.build import build as build_site

    started = time.perf_counter()
    _say(build_site(registry, folder, url=url, mirror=mirror), time.perf_counter() - started)


@app.command("serve")
def serve(
    registry: RegistryArgument = None,
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder to build into.")] = Path("site"),
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on this machine; 0 takes a free one.")
    ] = 8000,
    mirror: Mirror = None,
) -> None:
    """Build the site, serve it on this machine, and build it again when entries, templates or documents change."""
    from ..leaderboard.build import Builder
    from ..leaderboard.serving import serve as serve_site
    from ..submissions.entry import find_registry

    builder = Builder(find_registry(registry), folder, mirror=mirror, live=True)
    try:
        lines = serve_site(
            builder.build,
            folder,
            [builder.registry / "entries"],
            port=port,
            say=lambda line: err.print(visible(line, 1_000), markup=False, soft_wrap=True),
        )
        for address in lines:
            out.print(f"{address}  (Ctrl-C ends it)")
    except KeyboardInterrupt:
        err.print(
            "Ended. What was built is for editing; `holdfast site build` makes what is published.", soft_wrap=True
        )


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="[SITE]", help="A built site.")] = Path("site"),
) -> None:
    """Check a built site: links, HTML, accessibility basics, content policy, data files, sizes."""
    from ..leaderboard.checking import check_site

    if not folder.is_dir():
        raise UsageError(f"There is no site at {folder}; build one with `holdfast site build`.")
    faults = check_site(folder)
    for fault in faults:
        err.print(visible(str(fault), 1_000), markup=False, soft_wrap=True)
    if faults:
        raise RecordError(f"{len(faults)} fault{'s' * (len(faults) > 1)} in {folder}.")
    count = sum(path.is_file() for path in folder.rglob("*"))
    out.print(f"{count} files in {visible(str(folder))}: nothing wrong.", markup=False)


def _say(built: "Built", seconds: float) -> None:
    removed = f", {built.removed} removed" if built.removed else ""
    out.print(
        f"{built.entries} entries, {built.files} files in {visible(str(built.out))}: {built.written} written{removed} "
        f"in {duration(seconds)}.",
        markup=False,
        soft_wrap=True,
    )
    known = set(task_names())
    for lacking, why in (
        (
            [task for task in built.lacking if task in known],
            "as their data sets are not at hand; name a copy of the Hub's layout with --mirror, or let them be "
            "downloaded",
        ),
        (
            [task for task in built.lacking if task not in known],
            "as no installed package has such a task; install the one that does",
        ),
    ):
        if lacking:
            err.print(
                f"The texts of {visible(', '.join(lacking), 1_000)} are not shown, {why}.", markup=False, soft_wrap=True
            )
