"""Pages of the documentation say what the saved results of long experiments say."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest

from holdfast.benchmark import GCG, attack_examples, get_attack, load_victim
from holdfast.benchmark.outcome import Record
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import OFFICIAL_TASKS, UsageError, get_task


@pytest.fixture(scope="module")
def gcg():
    """docs/experiments/gcg.py as a module."""
    return import_module("gcg")


def test_a_table_is_replaced_under_its_heading(tmp_path: Path) -> None:
    pages = import_module("pages")
    page = tmp_path / "page.md"
    page.write_text("## Money\n\n| a |\n| c |\n\nx\n\n## Next\n\n| d |\n")
    pages.write_tables(page, {"Money": "| b |\n"})
    assert page.read_text() == "## Money\n\n| b |\n\nx\n\n## Next\n\n| d |\n"
    page.write_text("# Page\n\n## Money\n\nNone.\n\n## Next\n\n| a |\n")
    with pytest.raises(UsageError, match=r"page\.md has no table under the heading 'Money'"):
        pages.write_tables(page, {"Money": "| b |\n"})


@pytest.mark.parametrize("name", ["gcg", "no_loss"])
def test_the_page_has_the_table_that_the_command_writes(name: str, monkeypatch) -> None:
    run = import_module(name).RUN
    before = run.page.read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--table"])
    run.main()
    after = run.page.read_text(encoding="utf-8")
    run.page.write_text(before, encoding="utf-8")
    assert after == before


def test_the_pages_have_what_the_registry_has_of_the_baselines() -> None:
    for page, of_page in import_module("baselines").tables().items():
        before = page.read_text(encoding="utf-8")
        assert import_module("pages").written(before, of_page) == before


def test_what_each_step_of_the_engine_is_worth_is_on_its_page() -> None:
    steps = import_module("steps")
    report = json.loads(steps.OUTPUT.read_text(encoding="utf-8"))
    assert list(report["measured"]) == list(steps.STEPS)
    lines = "".join(f"{line}\n" for line in steps.table(report))
    assert lines in steps.PAGE.read_text(encoding="utf-8")


def test_what_was_measured_of_a_cpu_is_on_the_page() -> None:
    throughput = import_module("throughput")
    page = (throughput.OF_A_CPU["as scored"].parents[1] / "performance.md").read_text(encoding="utf-8")
    assert import_module("pages").written(page, throughput.tables()) == page


def test_how_fast_others_are_is_on_the_page_with_ours_beside_them() -> None:
    peers = import_module("peers")
    report = json.loads(peers.OUTPUT.read_text(encoding="utf-8"))
    lines = list(peers.table(report))
    assert "".join(f"{line}\n" for line in lines) in (peers.OUTPUT.parents[1] / "performance.md").read_text("utf-8")
    median = {"beside": "A", "what": "A", "tokens": 60, "candidates_per_second": [1.0, 50.0, 2.0]}
    ours = {"beside": "A", "what": "float32", "tokens": 60, "candidates_per_second": [4.0, 50.0, 5.0]}
    longer = [{**each, "tokens": 300} for each in (median, ours)]
    *_, theirs, beside = peers.table({"measured": [median, ours, *longer]})
    assert theirs == "| the code of A | 2 | 2 |"
    assert beside == "| Holdfast on the same, float32 | 5 (2.5 times) | 5 (2.5 times) |"


def test_the_engine_finds_the_same_without_each_of_its_steps() -> None:
    steps = import_module("steps")
    victim = load_victim(checkpoint_folder("password-match-adversarial"), device="cpu")
    examples = get_task("password-match").evaluation().examples[:4]
    engine = steps.Counting(victim, GCG(candidates=24, top_k=16), budget=1e10)

    def found() -> tuple[list[Record], int, float]:
        candidates, executed = engine.candidates, engine.executed
        records = sorted(engine.run(examples), key=lambda record: record.example_id)
        return records, engine.candidates - candidates, engine.executed - executed

    expected, candidates, executed = found()
    cheaper = []
    for step, left_out in steps.STEPS.items():
        with left_out(engine):
            records, more, longer = found()
        assert records == expected, step
        cheaper.append((more, longer) > (candidates, executed))
        assert found() == (expected, candidates, executed), f"{step} is back"
    assert sum(cheaper) >= 4, "what is left out is really left out"


def test_every_attack_ran_on_every_checkpoint(gcg) -> None:
    runs = gcg.stored()
    assert set(runs) == set(gcg.CHECKPOINTS)
    for checkpoint, found in runs.items():
        assert set(found) == set(gcg.ATTACKS)
        assert len({len(costs) for costs in found.values()}) == 1, checkpoint
        assert all(cost is None or cost <= gcg.BUDGET for costs in found.values() for cost in costs)


def test_the_installed_attack_is_the_one_that_won(gcg) -> None:
    chosen = next(name for name, attack in gcg.ATTACKS.items() if attack == get_attack("gcg_plus"))
    better, worse = gcg.by_task(gcg.stored(), chosen)
    assert better >= 3
    assert worse == 0
    assert better <= len(OFFICIAL_TASKS)


def test_better_is_what_a_paired_test_calls_better(gcg) -> None:
    held = [None] * 20
    broken = [1e9] * 20
    runs = {
        "spam-adversarial": {"gcg": held, "other": broken},
        "imdb-adversarial": {"gcg": broken, "other": held},
        "harmless-adversarial": {"gcg": broken, "other": [*broken[:-1], None]},
    }
    assert gcg.by_task(runs, "other") == (1, 1)
    assert gcg.by_task(runs, "gcg") == (0, 0)


def test_saved_results_are_found_again(gcg) -> None:
    task = "password-match"
    victim = load_victim(checkpoint_folder(f"{task}-undefended"), device="cpu")
    examples = get_task(task).evaluation().examples[gcg.EXAMPLES][:3]
    kept = json.loads(gcg.OUTPUT.read_text())[f"{task}-undefended"]
    for name in ("16 candidates, up to 4 swaps", "16 candidates, first random strings"):
        found = attack_examples(victim, examples, gcg.ATTACKS[name], budget=gcg.BUDGET, task=task)
        assert [record.break_cost for record in found] == kept[name][:3]
