"""What the commands print and leave behind when all is well."""

import json
import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_results import made
from victims import as_language_model

from holdfast.benchmark import OFFICIAL_ATTACKS, Result
from holdfast.benchmark.results import result_json
from holdfast.cli import main
from holdfast.cli.terminal import duration, size, visible
from holdfast.submissions.checkpoints import checkpoint_folder
from holdfast.tasks import OFFICIAL_TASKS, get_task

FEW = ("--task", "password-match", "--examples", "4", "--budget", "6e9FLOP", "--device", "cpu")
ESCAPE = "\x1b"


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ((), ("score", "show", "train", "demo", "attacks", "tasks")),
        (("score",), ("--task", "--profile", "--attack", "--budget", "--dry-run", "--accept-other-data")),
        (("show",), ("--json",)),
        (("train",), ()),
        (("demo",), ()),
        (("attacks",), ()),
        (("tasks",), ("list", "show", "sample")),
        (("tasks", "list"), ()),
        (("tasks", "show"), ("--mirror",)),
        (("tasks", "sample"), ("--number", "--mirror")),
    ],
)
@pytest.mark.parametrize("asked", ["--help", "-h"])
def test_every_command_explains_itself(holdfast, command, named, asked):
    outcome = holdfast(*command, asked)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage: holdfast" in outcome.out
    for name in named:
        assert name in outcome.out


def test_the_version_is_printed(holdfast):
    assert re.fullmatch(r"holdfast \d+\.\d+\.\d+\n", holdfast("--version").out)


def test_all_tasks_are_listed(holdfast):
    outcome = holdfast("tasks", "list")
    assert (outcome.code, outcome.err) == (0, "")
    for name in OFFICIAL_TASKS:
        assert re.search(rf"^{name} ", outcome.out, re.MULTILINE)
    assert "no / yes" in outcome.out


def test_a_task_is_shown_with_its_licence_and_digest(holdfast):
    outcome = holdfast("tasks", "show", "password-match")
    assert (outcome.code, outcome.err) == (0, "")
    for said in ("password-match, version 1", "0 = no, 1 = yes", "Apache-2.0", "500 examples, digest as pinned"):
        assert said in outcome.out
    assert get_task("password-match").digest in outcome.out


def test_a_task_whose_data_are_not_here_is_shown_all_the_same(holdfast):
    outcome = holdfast("tasks", "show", "imdb")
    assert outcome.code == 0
    assert "The evaluation set cannot be loaded here" in outcome.out


def test_samples_are_the_first_official_examples_with_the_slot_marked(holdfast):
    outcome = holdfast("tasks", "sample", "word-length", "--number", "3")
    assert (outcome.code, outcome.err) == (0, "")
    task = get_task("word-length")
    for example in task.evaluation().examples[:3]:
        assert example.text("[ attack string ]") in outcome.out
        assert f"{example.id}  label {example.label} ({task.labels[example.label]})" in outcome.out
    assert task.evaluation().examples[3].id not in outcome.out


def test_attacks_are_listed_with_the_papers_parameters(holdfast):
    outcome = holdfast("attacks")
    assert (outcome.code, outcome.err) == (0, "")
    for said in ("random_token", "gcg", "candidates", "128", "top_k 256", "length 10", "2307.15043"):
        assert said in outcome.out


@pytest.fixture(scope="module")
def scored(checkpoint, tmp_path_factory):
    """A results folder that the command wrote."""
    out = tmp_path_factory.mktemp("scored") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["holdfast", "score", str(checkpoint("llama")), *FEW, "--out", str(out)])
        with pytest.raises(SystemExit, match="0"):
            main()
    return out


def test_a_score_prints_a_table_and_writes_results_and_traces(holdfast, checkpoint, tmp_path):
    out = tmp_path / "out"
    outcome = holdfast("score", checkpoint("gpt2"), *FEW, "--out", out)
    assert (outcome.code, outcome.err) == (0, ""), "quiet where there is no terminal"
    for said in ("password-match", "clean accuracy", "random_token", "gcg", "robust at 15 µs", "median break cost"):
        assert said in outcome.out
    assert f"Results and traces are in {out}" in outcome.out
    assert ESCAPE not in outcome.out
    assert max(map(len, outcome.out.splitlines()[:-1])) <= 80
    files = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.name != ".lock")
    assert files == [
        f"{kind}/password-match/{attack}-suffix.{ending}"
        for kind, ending in (("results", "json"), ("traces", "parquet"))
        for attack in sorted(OFFICIAL_ATTACKS)
    ]
    for attack in OFFICIAL_ATTACKS:
        result = Result.model_validate_json((out / f"results/password-match/{attack}-suffix.json").read_bytes())
        assert (result.attack.name, result.summary.examples, result.budget) == (attack, 4, 6e9)
        assert result.profile == "custom"
        rows = pq.read_table(out / f"traces/password-match/{attack}-suffix.parquet").to_pylist()
        assert [row["example_id"] for row in rows] == [record.id for record in result.records]
        official = get_task("password-match").evaluation().examples[:4]
        assert [record.id for record in result.records] == [example.id for example in official]


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_a_score_that_is_there_is_shown_and_not_run_again(holdfast, checkpoint, scored):
    before = contents(scored)
    outcome = holdfast("score", checkpoint("llama"), *FEW, "--out", scored, "--json")
    assert outcome.code == 0
    assert contents(scored) == before
    stored = [
        json.loads((scored / f"results/password-match/{attack}-suffix.json").read_text()) for attack in OFFICIAL_ATTACKS
    ]
    assert json.loads(outcome.out) == stored


def test_json_is_all_there_is_on_standard_output(holdfast, checkpoint, tmp_path):
    outcome = holdfast("score", checkpoint("llama"), *FEW, "--attack", "gcg", "--out", tmp_path / "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    (result,) = json.loads(outcome.out)
    assert Result.model_validate(result).attack.name == "gcg"


def test_the_default_folder_is_named_after_checkpoint_and_settings(holdfast, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    few = (*FEW, "--attack", "random_token")
    assert holdfast("score", checkpoint("llama"), *few).code == 0
    assert holdfast("score", checkpoint("llama"), *few, "--seed", "7").code == 0
    assert sorted(path.name for path in (tmp_path / "scores").iterdir()) == [
        "llama-custom-4x6e09",
        "llama-custom-4x6e09-seed7",
    ]


def test_a_dry_run_says_what_it_would_cost_and_writes_nothing(holdfast, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dry = ("score", checkpoint(), *FEW, "--dry-run", "--batch-size", "8")
    outcome = holdfast(*dry, "--attack", "random_token")
    assert (outcome.code, outcome.err) == (0, "")
    for said in ("forward pass", "iterations", "strings/s, measured now", "memory", "Nothing was attacked."):
        assert said in outcome.out
    plan, chance = json.loads(holdfast(*dry, "--attack", "gcg", "--attack", "random_token", "--json").out)
    assert (plan["task"], plan["attack"], plan["examples"]) == ("password-match", "gcg", 4)
    assert plan["forward_cost"] == 2 * plan["parameters"] * plan["median_tokens"]
    assert plan["iteration_cost"] == 262 * plan["parameters"] * plan["median_tokens"]
    iteration = 128 / plan["candidates_per_second"] + plan["gradient_seconds"]
    assert plan["seconds"] >= 0.8 * 4 * max(plan["iterations"].values()) * iteration
    assert plan["gradient_seconds"] > chance["gradient_seconds"] == 0
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_workers_like_this_machine_would_take_and_cost(holdfast, checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dry = ("score", checkpoint(), *FEW, "--attack", "random_token", "--dry-run", "--batch-size", "8", "--device", "cpu")
    fleet = ("--executor", "ray", "--workers", "3", "--price", "1e9")
    outcome = holdfast(*dry, *fleet)
    assert (outcome.code, outcome.err) == (0, "")
    assert re.search(
        r"On 3 workers like this machine at most .+: .+ hours to pay for, .+ at 1e\+09 each\.", outcome.out
    )
    (plan,) = json.loads(holdfast(*dry, *fleet, "--json").out)
    # Four examples on three workers: one has two of them.
    assert plan["workers_seconds"] == pytest.approx(plan["seconds"] / 2)
    assert plan["card_hours"] == pytest.approx(3 * plan["workers_seconds"] / 3600)
    assert plan["money"] == pytest.approx(1e9 * plan["card_hours"])
    (alone,) = json.loads(holdfast(*dry, "--price", "2", "--json").out)
    assert (alone["workers"], alone["workers_seconds"]) == (1, alone["seconds"])
    (plain,) = json.loads(holdfast(*dry, "--json").out)
    assert not {"workers", "card_hours", "money"} & plain.keys()
    assert not list(tmp_path.iterdir())


def test_a_budget_below_one_iteration_is_noted(holdfast, checkpoint, tmp_path):
    arguments = (*FEW, "--budget", "1000FLOP", "--attack", "gcg", "--out", tmp_path / "out")
    outcome = holdfast("score", checkpoint(), *arguments)
    assert outcome.code == 0
    assert "No iteration of gcg fits a budget of" in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_results_are_shown_by_folder_and_by_file(holdfast, scored):
    by_folder = holdfast("show", scored)
    assert (by_folder.code, by_folder.err) == (0, "")
    for said in ("random_token", "gcg", "robust accuracy", "broken of clean-correct", "wall time"):
        assert said in by_folder.out
    by_file = holdfast("show", scored / "results/password-match/gcg-suffix.json")
    assert "gcg" in by_file.out
    assert "random_token" not in by_file.out


def test_the_derived_figures_are_shown_as_json(holdfast, scored):
    figures = json.loads(holdfast("show", scored, "--json").out)
    assert [each["attack"] for each in figures] == [*sorted(OFFICIAL_ATTACKS), "official adversary"]
    for each in figures:
        assert (each["task"], each["examples"], each["flags"]) == ("password-match", 4, [])
        assert set(each["clean_accuracy"]) == {"value", "low", "high", "bound"}
        assert each["robust_accuracy"][-1]["cost"] == 6e9


def test_a_gradient_attack_that_random_tokens_outdo_is_flagged_where_both_are_shown(holdfast, tmp_path):
    for attack in OFFICIAL_ATTACKS:
        outcomes = [None if attack == "gcg" else 10**10] * 5
        (tmp_path / f"{attack}.json").write_bytes(result_json(made(outcomes, attack=attack)))
    flags = re.compile(r"^flags .*$", re.MULTILINE)
    shown = " ".join(flags.findall(holdfast("show", tmp_path).out)).split()
    assert (shown.count("none"), shown.count("worse-than-random")) == (len(OFFICIAL_ATTACKS) - 1, 2)
    assert flags.findall(holdfast("show", tmp_path / "gcg.json").out)[0].split() == ["flags", "none"]
    figures = {each["attack"]: each["flags"] for each in json.loads(holdfast("show", tmp_path, "--json").out)}
    flagged = ("gcg", "official adversary")
    assert figures == {
        name: ["worse-than-random"] if name in flagged else [] for name in (*OFFICIAL_ATTACKS, "official adversary")
    }


def test_a_result_of_somebody_elses_cannot_drive_the_terminal(holdfast, scored, tmp_path):
    content = json.loads((scored / "results/password-match/gcg-suffix.json").read_text())
    hostile = "[red]\x1b]0;owned\x07\u202e\n\x9b31m"
    content["task"]["name"] = content["attack"]["name"] = content["victim"]["reference"] = hostile
    content["victim"]["revision"] = content["victim"]["architecture"] = content["victim"]["dtype"] = hostile
    content["flags"] = [hostile]
    (tmp_path / "r.json").write_text(json.dumps(content))
    outcome = holdfast("show", tmp_path / "r.json")
    assert outcome.code == 0
    for character in hostile.replace("\n", "")[5:]:
        assert character.isprintable() or character not in outcome.out
    assert "[red]\\u001b]0;owned\\u0007\\u202e\\n\\u009b31m" in outcome.out


def test_verbose_shows_the_traceback_wherever_it_stands(holdfast):
    for arguments in (("--verbose", "show", "/no/such"), ("show", "/no/such", "--verbose"), ("show", "-v", "/no/such")):
        outcome = holdfast(*arguments)
        assert outcome.code == 5
        assert outcome.err.startswith("Traceback")
        assert outcome.err.splitlines()[-1].startswith("There is no result at /no/such")


def test_a_process_without_a_terminal_is_quiet(holdfast_process, checkpoint, tmp_path):
    few = (*FEW, "--attack", "random_token")
    outcome = holdfast_process("score", checkpoint("llama"), *few, "--out", tmp_path / "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert json.loads(outcome.out)[0]["attack"]["name"] == "random_token"


def test_no_color_is_honoured_and_a_terminal_that_knows_only_ascii_gets_codes(holdfast_process, scored):
    """FORCE_COLOR makes the output count as a terminal; NO_COLOR then leaves bold and dim, and no colour."""
    environment = {"FORCE_COLOR": "1", "NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}
    outcome = holdfast_process("show", scored, env=environment)
    assert (outcome.code, outcome.err) == (0, "")
    assert set(re.findall(r"\x1b\[([0-9;]*)", outcome.out)) <= {"0", "1", "2"}
    assert outcome.out.isascii()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a\nb\tc\rd", "a\\nb\\u0009c\\u000dd"),
        ("\x1b[31mred\x9b0m", "\\u001b[31mred\\u009b0m"),
        ("\u202eevil\u2066x\u2069", "\\u202eevil\\u2066x\\u2069"),
        ("zero\u200bwidth\ufeff\u00ad", "zero\\u200bwidth\\ufeff\\u00ad"),
        ("line\u2028break\u2029", "line\\u2028break\\u2029"),
        ("\U000e0041tag\ue000", "\\U000e0041tag\\ue000"),
        ("naïve 日本 🙂", "naïve 日本 🙂"),
    ],
)
def test_hostile_text_is_made_visible(text, shown):
    assert visible(text) == shown


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_visible_text_is_one_printable_line_of_bounded_length(text):
    shown = visible(text, limit=50)
    assert len(shown) <= 50
    assert all(character.isprintable() or character.isspace() for character in shown)
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.96, "10.0 s"), (45, "45 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (2e5, "2 d 7 h")],
)
def test_durations_are_said_as_people_say_them(seconds, said):
    assert duration(seconds) == said
    assert duration(float("inf")) == "unknown"


@pytest.mark.parametrize(("count", "said"), [(0, "0 B"), (1500, "1.5 kB"), (518e6, "518 MB"), (1.5e9, "1.5 GB")])
def test_sizes_have_a_unit(count, said):
    assert size(count) == said


def test_a_language_model_is_planned_and_scored_as_it_is(holdfast, tmp_path):
    folder = as_language_model(checkpoint_folder("password-match-undefended"), tmp_path / "lm", ("no", "yes"))
    planned = holdfast("score", folder, *FEW, "--attack", "random_token", "--dry-run", "--json")
    assert [plan["parameters"] for plan in json.loads(planned.out)] == [151_296]
    outcome = holdfast("score", folder, *FEW, "--attack", "random_token", "--out", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    [result] = json.loads(outcome.out)
    assert result["victim"]["kind"] == "language-model"
    assert result["summary"]["examples"] == 4


def test_a_victim_file_is_scored_into_a_folder_of_its_name(holdfast, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = [checkpoint_folder(f"password-match-{name}") for name in ("undefended", "adversarial")]
    Path("pair.yaml").write_text("kind: ensemble\nmembers:\n" + "".join(f"  - {folder}\n" for folder in members))
    outcome = holdfast("score", "pair.yaml", *FEW, "--attack", "random_token", "--json")
    assert outcome.code == 0, outcome.err
    [result] = json.loads(outcome.out)
    assert (result["victim"]["kind"], result["victim"]["parameters"]) == ("ensemble", 2 * 125_824)
    assert list(Path("scores").glob("pair-custom*/results/password-match/random_token-suffix.json"))
