"""docs/scaling.md says what its command computes, from what the data and the CPU measurement say."""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from holdfast.benchmark import OFFICIAL_ATTACKS, PROFILES
from holdfast.benchmark.rates import read_rates
from holdfast.tasks import OFFICIAL_TASKS


@pytest.fixture(scope="module")
def scaling() -> ModuleType:
    """docs/experiments/scaling.py as a module."""
    return import_module("scaling")


def printed(scaling, monkeypatch, capsys, *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["scaling.py", *arguments])
    scaling.main()
    return capsys.readouterr().out


def test_the_page_has_the_tables_that_its_command_writes(scaling) -> None:
    cpu = read_rates(scaling.MEASURED)
    found = scaling.tables(scaling.read_inputs(), cpu, scaling.assumed_card(cpu), scaling.EXAMPLE_PRICE)
    page = scaling.PAGE.read_text(encoding="utf-8")
    assert import_module("pages").written(page, found) == page
    assert page.count("\n| ---") == len(found)


def test_every_size_has_a_row_and_every_number_of_cards_a_column(scaling) -> None:
    cpu = read_rates(scaling.MEASURED)
    found = scaling.tables(scaling.read_inputs(), cpu, scaling.assumed_card(cpu), 1.0)
    head, _, *rows = found["Time: full"].splitlines()
    assert head == "| model | 1 card | 2 cards | 4 cards | 8 cards | 16 cards | 32 cards | 64 cards |"
    assert [row.split(" | ")[0] for row in rows] == [f"| {name}" for name in scaling.MODELS]
    assert (scaling.MODELS[0], scaling.MODELS[-1]) == ("14m", "70b")
    # 70b takes 412 GB in both precisions, and each card has 64 for it.
    assert rows[-1].startswith("| 70b | – | – | – | ")
    assert rows[-1].count("–") == 3


def test_the_price_is_the_users(scaling, monkeypatch, capsys) -> None:
    def costs(price: str) -> list[float]:
        tables = printed(scaling, monkeypatch, capsys, "--print", "--price", price)
        rows = tables.partition("\nMoney\n\n")[2].partition("\n\n")[0].splitlines()[2:]
        return [float(cell.replace(",", "")) for row in rows for cell in row.strip("| ").split(" | ")[2:]]

    assert sum(costs("200")) == pytest.approx(100 * sum(costs("2")), rel=0.01)


def test_a_price_is_not_written_into_the_page(scaling, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        printed(scaling, monkeypatch, capsys, "--price", "3")
    assert "add --print" in capsys.readouterr().err


def test_lengths_are_those_of_all_official_examples(scaling) -> None:
    texts = scaling.read_inputs().texts
    assert tuple(texts) == OFFICIAL_TASKS
    assert {len(each) for each in texts.values()} == {PROFILES["full"].examples}


@pytest.mark.parametrize("task", OFFICIAL_TASKS)
def test_lengths_are_counted_again(scaling, mirror: Path, task: str) -> None:
    if not (mirror / "models" / "EleutherAI" / "pythia-14m" / "tokenizer.json").is_file():
        pytest.skip("needs Pythia's tokenizer in the mirror of the Hub")
    assert scaling.count_texts(task, mirror, 20) == scaling.read_inputs().texts[task][:20]


def test_every_official_attack_was_measured(scaling) -> None:
    assert {point.attack for point in read_rates(scaling.MEASURED).points} >= set(OFFICIAL_ATTACKS)
