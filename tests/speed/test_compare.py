"""`make bench-compare` fails where something became slower, and never passes what it could not compare."""

import json
from pathlib import Path

import pytest
from speed.compare import machine_of, main

STEADY = [1.00, 1.01, 1.02, 1.03, 1.04]


@pytest.fixture(autouse=True)
def _own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def slowed(rounds: list[float], factor: float) -> list[float]:
    return [factor * seconds for seconds in rounds]


def save(day, rounds=STEADY, *, name="bench", machine="Linux", batch_size=128, **info) -> Path:
    """One benchmark, as `make bench` stores it. info: what the machine says otherwise; None for what it leaves out."""
    said = {"brand_raw": "EPYC", "node": "a", "threads": 1, "python_version": "3.11.7", "torch": "2.6.0"} | info
    said["cpu"] = {"brand_raw": said.pop("brand_raw")}
    benchmark = {
        "fullname": name,
        "stats": {"data": rounds},
        "extra_info": {"conditions": {"batch_size": batch_size}, "candidates_per_second": 1 / rounds[0]},
    }
    run = {"datetime": f"2026-01-{day:02}T12:00:00+00:00", "machine_info": said, "benchmarks": [benchmark]}
    path = Path(".benchmarks", machine, f"{day:04}_abc.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run))
    return path


def test_equal_runs_pass(capsys) -> None:
    save(1)
    save(2)
    assert main([]) == 0
    assert "0 of 1 became slower, 0 could not be compared" in capsys.readouterr().out


def test_a_slowdown_fails_with_the_fewest_rounds_that_are_taken(capsys) -> None:
    save(1)
    save(2, slowed(STEADY, 1.06))
    assert main([]) == 1
    assert "SLOWER   1.06 x" in capsys.readouterr().out


@pytest.mark.parametrize("rounds", [slowed(STEADY, 1.04), [1.0, 1.5, 1.5, 1.5, 1.5], [1.06, 1.0, 1.0, 1.2, 1.3]])
def test_small_slowdowns_and_noise_pass(rounds) -> None:
    save(1)
    save(2, rounds)
    assert main([]) == 0


def test_slowdowns_that_are_small_one_by_one_add_up(capsys) -> None:
    for run in range(2):
        save(1 + run, slowed(STEADY, 1.04**run))
        assert run == 0 or main([]) == 0
    save(3, slowed(STEADY, 1.04**2))
    assert main([]) == 1
    assert "since 0001_abc.json" in capsys.readouterr().out


def test_the_last_run_is_the_last_by_date_whatever_its_folder() -> None:
    save(1, machine="Z")
    save(2, slowed(STEADY, 1.1), machine="A")
    assert main([]) == 1


@pytest.mark.parametrize(
    "other", [{"brand_raw": "Xeon"}, {"threads": 2}, {"python_version": "3.12.1"}, {"torch": "2.7.0"}]
)
def test_a_run_of_another_machine_is_ignored(other, capsys) -> None:
    save(1)
    save(2, slowed(STEADY, 0.5), **other)
    save(3)
    assert main([]) == 0
    assert "fastest of 1 earlier" in capsys.readouterr().out


def test_processors_without_a_name_are_not_taken_for_the_same(capsys) -> None:
    save(1, brand_raw=None, node="a")
    save(2, brand_raw=None, node="b")
    assert main([]) == 2
    save(3, brand_raw=None, node="b")
    assert main([]) == 0
    save(4, brand_raw=None, node=None)
    save(5, brand_raw=None, node=None)
    assert main([]) == 2
    assert "does not say which processor" in capsys.readouterr().out


def test_make_bench_stores_what_tells_machines_apart(pytestconfig: pytest.Config) -> None:
    info = pytestconfig.hook.pytest_benchmark_generate_machine_info(config=pytestconfig)
    pytestconfig.hook.pytest_benchmark_update_machine_info(config=pytestconfig, machine_info=info)
    assert machine_of(info)


@pytest.mark.parametrize(("before", "after"), [(4, 5), (5, 4), (1, 1)])
def test_too_few_rounds_are_refused(before, after, capsys) -> None:
    save(1, STEADY[:before])
    save(2, slowed(STEADY, 2)[:after])
    assert main([]) == 2
    assert f"{before} and {after} rounds are too few" in capsys.readouterr().out


def test_an_earlier_run_of_too_few_rounds_does_not_stand_in_for_one_of_enough() -> None:
    save(1)
    save(2, [0.1])
    save(3)
    assert main([]) == 0


def test_benchmarks_that_did_other_work_are_not_compared(capsys) -> None:
    save(1, batch_size=64)
    save(2, slowed(STEADY, 0.5), batch_size=128)
    assert main([]) == 2
    assert "it did other work (batch_size 64 -> 128)" in capsys.readouterr().out
    save(3, slowed(STEADY, 1.1), batch_size=64)
    assert main([]) == 1


def test_a_benchmark_that_no_earlier_run_has_is_said() -> None:
    save(1, name="old")
    save(2, name="new")
    assert main([]) == 2


def test_with_nothing_to_compare_one_sentence_says_what_to_do(capsys) -> None:
    for _ in range(2):
        assert main([]) == 2
        out = capsys.readouterr().out
        assert out.endswith("run `make bench` before and after a change.\n")
        assert out.count("\n") == 1
        save(1)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": [1]}', '{"benchmarks": []}'])
def test_a_file_that_is_no_run_is_named(text, capsys) -> None:
    save(1)
    path = save(2)
    path.write_text(text)
    assert main([]) == 2
    assert capsys.readouterr().out == f"{path} is not a complete run of `make bench`; remove it.\n"


def test_named_files_are_compared_in_their_order() -> None:
    first, second = save(1), save(2, slowed(STEADY, 1.1))
    assert main([str(first), str(second)]) == 1
    assert main([str(second), str(first)]) == 0
    assert main([str(first), "missing.json"]) == 2
