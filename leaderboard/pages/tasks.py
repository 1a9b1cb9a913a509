"""The tasks: what is asked, on which examples, and who stands best."""

from ...tasks import OFFICIAL_TASKS, UsageError, get_task
from ..site import Files, Site
from ..views import ADVERSARY, OVERALL, View
from .table import ordered, table_path

_BEST = 5
_SAMPLES = 2
_EXCERPT = 600


def pages(site: Site) -> Files:
    """A page per task that has results, official ones first, and their index."""
    names = [*OFFICIAL_TASKS, *sorted({task for task, _ in site.views} - {OVERALL, *OFFICIAL_TASKS})]
    files = site.page("tasks/index.html", "tasks.html", section="Tasks", tasks=[(name, _known(name)) for name in names])
    for name in names:
        view = site.views.get((name, ADVERSARY), View(name, ADVERSARY, {}))
        tier = view.tier
        files |= site.page(
            f"tasks/{name}.html",
            "task.html",
            section="Tasks",
            name=name,
            task=_known(name),
            views=[each for (task, _), each in site.views.items() if task == name],
            best=[row for row in ordered(site, view, tier) if row.rank][:_BEST],
            tier=tier,
            table=table_path(name),
            samples=list(site.texts.get(name, {}).values())[:_SAMPLES],
            excerpt=_EXCERPT,
        )
    return files


def _known(name: str) -> object:
    """The task's declaration; None for a third party's that is not installed here."""
    try:
        return get_task(name)
    except UsageError:
        return None
