"""Tasks are found by name, ours and third parties', and a wrong name gets a useful answer."""

import subprocess
import sys

import pytest

from holdfast.tasks import OFFICIAL_TASKS, UsageError, get_task, task_names


@pytest.fixture
def third_party(tmp_path, monkeypatch):
    """An installed package of somebody else's that announces tasks."""

    def install(entry_points: str, module: str) -> None:
        info = tmp_path / "somebodys_tasks-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys-tasks\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[holdfast.tasks]\n{entry_points}\n")
        (tmp_path / "somebodys_tasks.py").write_text(module)
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    sys.modules.pop("somebodys_tasks", None)


THEIR_TASK = """
from dataclasses import replace
from holdfast.tasks import get_task
task = replace(get_task("word-length"), name="a-word-game", digest="")
"""


def test_the_official_tasks_come_first_in_official_order():
    assert task_names()[:5] == list(OFFICIAL_TASKS) == ["password-match", "word-length", "imdb", "spam", "harmless"]


@pytest.mark.parametrize("name", OFFICIAL_TASKS)
def test_every_official_task_says_what_it_is(name):
    task = get_task(name)
    assert task.name == name
    assert len(task.digest) == 64
    assert task.before.endswith("\n"), "the slot is on a line of its own"
    assert task.after.startswith("\n")
    assert task.after.endswith("Answer:")
    assert task.labels[0] != task.labels[1]
    for words in (task.title, task.description, task.slot, task.licence, task.citation, task.homepage):
        assert words


def test_an_example_is_its_text_with_the_attack_string_in_the_slot():
    example = get_task("password-match").evaluation().examples[0]
    assert example.text("x y") == example.before + "x y" + example.after
    assert example.text() == example.before + example.after


@pytest.mark.parametrize(("typed", "meant"), [("imbd", "imdb"), ("password_match", "password-match"), ("Spam", "spam")])
def test_an_unknown_name_is_answered_with_the_nearest_one(typed, meant):
    with pytest.raises(UsageError, match=f"There is no task '{typed}' .did you mean '{meant}'.*; the tasks are passw"):
        get_task(typed)


def test_a_name_near_nothing_is_answered_with_the_list():
    with pytest.raises(UsageError, match=r"There is no task 'zzzz'; the tasks are password-match, word-length, imdb"):
        get_task("zzzz")


def test_somebody_elses_task_is_found(third_party):
    third_party("a-word-game = somebodys_tasks:task", THEIR_TASK)
    assert task_names() == [*OFFICIAL_TASKS, "a-word-game"]
    evaluation = get_task("a-word-game").evaluation()
    assert len(evaluation.examples) == 500
    assert evaluation.examples != get_task("word-length").evaluation().examples, "draws depend on the task's name"


def test_somebody_elses_broken_task_is_reported_only_when_asked_for(third_party):
    third_party("broken = somebodys_tasks:task", "import a_module_that_is_not_there")
    assert "broken" in task_names()
    assert get_task("imdb").name == "imdb"
    with pytest.raises(
        UsageError, match=r"'broken' of the package somebodys-tasks cannot be loaded .ModuleNotFoundError"
    ):
        get_task("broken")


def test_something_that_is_not_a_task_is_refused(third_party):
    third_party("no-task = somebodys_tasks:task", "task = 42")
    with pytest.raises(UsageError, match="announces somebodys_tasks:task as the task 'no-task', which it is not"):
        get_task("no-task")


def test_nobody_can_take_an_official_name(third_party):
    third_party("imdb = somebodys_tasks:task", "task = 42")
    assert get_task("imdb").title == "IMDB reviews"


def test_importing_the_tasks_leaves_the_heavy_libraries_alone():
    heavy = "{'datasets', 'torch', 'transformers', 'huggingface_hub', 'pyarrow'}"
    code = (
        f"import sys, holdfast.tasks as t; [t.get_task(n) for n in t.task_names()]; print({heavy} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "set()"
