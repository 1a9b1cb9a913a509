"""`holdfast compare` and the gate: what they print, and the exit code a build sees."""

import gc
import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from made_results import HELD, WRONG, made
from markdown_it import MarkdownIt

from holdfast.benchmark import OFFICIAL_ATTACKS, Result

USAGE, RECORD, GATE = 2, 5, 7
STRONG = [HELD] * 140 + [10**12] * 50 + [WRONG] * 10
WEAK = [HELD] * 100 + [10**10] * 40 + [10**12] * 50 + [WRONG] * 10
HOSTILE = "[red]\x1b]0;owned\x07‮`<script>|@you **x** ]]>&\ud83d\n\x00￿"
FEW = ("--task", "password-match", "--examples", "4", "--budget", "3e9FLOP", "--device", "cpu")


@pytest.fixture(scope="module", autouse=True)
def _no_garbage() -> Iterator[None]:
    """statsmodels collects garbage at every correction, which takes long where much is imported."""
    gc.freeze()
    yield
    gc.unfreeze()


def folder(path: Path, results: Sequence[Result]) -> Path:
    """A results folder as `holdfast score` lays it out, and so an entry does."""
    for number, result in enumerate(results):
        file = path / "results" / f"task{number}" / "gcg-suffix.json"
        file.parent.mkdir(parents=True)
        file.write_text(result.model_dump_json())
    return path


def both(outcomes, **kwargs):
    return [made(outcomes, **kwargs), made(outcomes, attack="random_token", **kwargs)]


@pytest.fixture
def strong(tmp_path):
    return folder(tmp_path / "strong", both(STRONG))


@pytest.fixture
def weak(tmp_path):
    return folder(tmp_path / "weak", both(WEAK))


def test_the_table_says_what_changed_and_fits_a_terminal(holdfast, strong, weak):
    outcome = holdfast("compare", strong, weak)
    assert (outcome.code, outcome.err) == (0, "")
    for said in ("imdb", "official adversary", "clean accuracy", "0.1 ms", "whole curve", "log-rank z -"):
        assert said in outcome.out
    assert "0.1 ms 95.0% → 75.0% -20.0 [-25.5, -14.1] <.001 regressed" in " ".join(outcome.out.split())
    assert outcome.out.splitlines()[-1].startswith("regressed (")
    assert max(len(line) for line in outcome.out.splitlines() if not line.startswith(("base", "candidate"))) <= 80


def test_a_file_a_folder_and_a_folder_of_files_are_all_a_side(holdfast, strong, tmp_path):
    (file,) = (strong / "results" / "task0").iterdir()
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "any.json").write_bytes(file.read_bytes())
    for side in (file, flat):
        outcome = holdfast("compare", file, side, "--fail-on", "regression")
        assert (outcome.code, outcome.err) == (0, "")
        assert "gate (regression): passed" in outcome.out


@pytest.mark.parametrize("format_", ["table", "json", "markdown", "junit"])
def test_a_regression_fails_the_build_whatever_the_format(holdfast, strong, weak, format_):
    outcome = holdfast("compare", strong, weak, "--fail-on", "regression", "--format", format_)
    assert outcome.code == GATE
    assert outcome.err.startswith("The gate failed: imdb × official adversary, 0.1 ms: regressed; and ")
    assert len(outcome.err.splitlines()) == 1
    assert outcome.out, "the report is printed all the same"
    assert holdfast("compare", weak, strong, "--fail-on", "regression", "--format", format_).code == 0
    assert holdfast("compare", strong, weak, "--format", format_).code == 0


def test_a_drop_fails_the_build_as_measured(holdfast, tmp_path):
    base = folder(tmp_path / "base", [made([HELD] * 20)])
    candidate = folder(tmp_path / "candidate", [made([HELD] * 18 + [10**10] * 2)])
    assert holdfast("compare", base, candidate, "--fail-on", "regression").code == 0
    assert holdfast("compare", base, candidate, "--fail-on", "drop>10%").code == 0
    outcome = holdfast("compare", base, candidate, "--fail-on", "regression", "--fail-on", "drop>9.9%")
    assert outcome.code == GATE
    assert "dropped by 10.0 points, more than 9.9" in outcome.err


@pytest.mark.parametrize("condition", ["regression", "drop>99%"])
@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        ([made(STRONG)], "missing: the candidate lacks random_token"),
        (both(STRONG[:150]), "missing: the candidate has 150 of the base's 200 examples"),
        (both(STRONG, budget=4e11), "missing: the candidate's budget ends at 1 ms"),
        (both(STRONG, task="spam"), "missing: the candidate lacks the task"),
        (both(STRONG, digest="1"), "not comparable: the evaluation sets differ"),
    ],
)
def test_no_score_never_passes_the_gate(holdfast, strong, tmp_path, candidate, said, condition):
    outcome = holdfast("compare", strong, folder(tmp_path / "c", candidate), "--fail-on", condition)
    assert outcome.code == GATE
    assert said in outcome.err


def test_json_is_one_document_with_every_row_and_the_gate(holdfast, strong, weak):
    document = json.loads(holdfast("compare", strong, weak, "--format", "json", "--fail-on", "regression").out)
    assert (document["base"], document["candidate"]) == (str(strong), str(weak))
    assert (document["verdict"], document["alpha"], document["added"]) == ("regressed", 0.05, [])
    assert len(document["rows"]) == 13
    row = next(row for row in document["rows"] if (row["attack"], row["at"]) == ("gcg", "0.1 ms"))
    assert (row["verdict"], row["lost"], row["gained"], row["difference"]) == ("regressed", 40, 0, -0.2)
    assert (row["base"]["held"], row["candidate"]["value"], row["tier"]) == (190, 0.75, 4e10)
    assert document["gate"]["fail_on"] == ["regression"]
    assert document["gate"]["passed"] is False
    regressed = [row for row in document["rows"] if row["verdict"] == "regressed"]
    assert [(each["attack"], each["tier"]) for each in document["gate"]["failures"]] == [
        (row["attack"], row["tier"]) for row in regressed
    ]
    assert json.loads(holdfast("compare", strong, weak, "--format", "json").out)["gate"] is None


def test_junit_has_a_case_per_row_and_a_failure_per_failing_row(holdfast, strong, weak):
    root = ET.fromstring(holdfast("compare", strong, weak, "--format", "junit", "--fail-on", "regression").out)
    (suite,) = root.findall("testsuite")
    cases = suite.findall("testcase")
    failed = [case for case in cases if case.find("failure") is not None]
    assert (root.get("tests"), root.get("failures")) == (str(len(cases)), str(len(failed))) == ("13", "12")
    assert ("imdb.gcg", "0.1 ms") in [(case.get("classname"), case.get("name")) for case in failed]
    without = ET.fromstring(holdfast("compare", strong, weak, "--format", "junit").out)
    assert not list(without.iter("failure"))


def test_markdown_opens_with_the_verdict_and_folds_the_details_away(holdfast, strong, weak):
    text = holdfast("compare", strong, weak, "--format", "markdown", "--fail-on", "regression").out
    assert text.startswith("**Robustness: regressed** (12 regressed, 1 no evidence); `gate (regression): 12 rows fail`")
    shown, folded = text.split("<details>")
    assert shown.count("| `imdb` |") == 12
    assert folded.count("| `imdb` |") == 13
    assert folded.rstrip().endswith("</details>")
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert html.count("<table>") == 2


def test_where_nothing_changed_markdown_says_so(holdfast, strong):
    text = holdfast("compare", strong, strong, "--format", "markdown").out
    assert text.startswith("**Robustness: no evidence** (13 no evidence)")
    assert "Nothing changed by more than chance allows." in text


@pytest.fixture
def hostile(tmp_path):
    """Two releases whose every name is an attack on whoever shows it."""
    name = HOSTILE.replace("\ud83d", "")
    results = [made(STRONG, task=name, attack=name, parameters={"a": 1}), made(STRONG, task=name, attack="gcg")]
    other = [made(WEAK, task=name, attack=name, parameters={"a": name}), made(WEAK, task=name, attack="gcg")]
    return folder(tmp_path / "base", results), folder(tmp_path / "candidate", other)


def test_hostile_names_are_no_terminal_codes_and_no_console_markup(holdfast, hostile):
    outcome = holdfast("compare", *hostile, "--fail-on", "regression")
    assert outcome.code == GATE
    for character in "\x1b\x07\x00‮￿":
        assert character not in outcome.out + outcome.err
    assert "[red]\\u001b]0;owned\\u0007\\u202e`<script>" in outcome.out


def test_hostile_names_are_no_markdown_and_no_html(holdfast, hostile):
    text = holdfast("compare", *hostile, "--format", "markdown").out
    html = MarkdownIt("gfm-like", {"linkify": False}).render(text)
    assert "<script" not in html
    assert "<strong>x</strong>" not in html
    rows = [line for line in html.splitlines() if line.startswith("<td")]
    assert len(rows) % 9 == 0, "no name adds a cell to a table"
    assert all("@you" not in line or "<code>" in line for line in html.splitlines()), "and nobody is called"


def test_hostile_names_are_no_xml(holdfast, hostile):
    root = ET.fromstring(holdfast("compare", *hostile, "--format", "junit", "--fail-on", "regression").out)
    assert {suite.get("name") for suite in root.findall("testsuite")} == {
        "[red]\\u001b]0;owned\\u0007\\u202e`<script>|@you **x** ]]>&\\n\\u0000\\uffff"
    }


def test_output_goes_to_a_file_whole_or_not_at_all(holdfast, strong, weak, tmp_path):
    file = tmp_path / "new" / "report.md"
    outcome = holdfast("compare", strong, weak, "--format", "markdown", "--output", file, "--fail-on", "regression")
    assert (outcome.code, outcome.out) == (GATE, "")
    assert file.read_text() == holdfast("compare", strong, weak, "--format", "markdown", "--fail-on", "regression").out
    assert [each.name for each in file.parent.iterdir()] == ["report.md"]
    assert holdfast("compare", strong, weak, "--output", file).code == 0
    assert "official adversary" in file.read_text()
    assert "\x1b" not in file.read_text()


def test_a_filter_compares_only_what_was_asked_for(holdfast, strong, weak):
    outcome = holdfast("compare", strong, weak, "--attack", "official adversary", "--task", "imdb", "--format", "json")
    assert {row["attack"] for row in json.loads(outcome.out)["rows"]} == {"official adversary"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--fail-on", "drop"), USAGE, "is neither `regression` nor a drop like 'drop>5%' (in quotes"),
        (("--task", "spam"), USAGE, "The base has no task 'spam' to compare; it has 'imdb'."),
        (("--attack", "beast"), USAGE, "The base has no attack 'beast' to compare; it has 'clean accuracy', 'official"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(holdfast, strong, weak, arguments, code, said):
    outcome = holdfast("compare", strong, weak, *arguments)
    assert said in outcome.sentence
    assert outcome.code == code


def test_a_refusal_that_quotes_a_hostile_name_is_one_plain_sentence(holdfast, hostile, strong):
    base, _ = hostile
    (first, _) = sorted(base.glob("results/*/*.json"))
    (first.parent / "again.json").write_bytes(first.read_bytes())
    odd = base / "odd.json"
    odd.write_text(json.dumps({"\x1b[31m": 1} | json.loads(first.read_text())))
    for side, said in ((base, "holds two results of '[red]\\x1b]0;owned"), (odd, "is not a valid result")):
        outcome = holdfast("compare", strong, side)
        assert said in outcome.sentence
        assert outcome.sentence.isprintable()
        assert outcome.code == RECORD


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: None, "There is no result at"),
        (lambda path: path.mkdir(), "There are no results in"),
        (lambda path: path.write_text("{}"), "is not a valid result"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "is not a valid result"),
        (lambda path: path.write_text(made([]).model_dump_json()), "holds no examples"),
        (lambda path: folder(path, [made(STRONG), made(STRONG)]), "holds two results of 'gcg' on 'imdb'"),
        (lambda path: folder(path, [made(STRONG), made(STRONG, attack="x", victim="1")]), "results of several victims"),
    ],
)
def test_a_side_that_cannot_be_read_is_one_sentence(holdfast, strong, tmp_path, write, said):
    path = tmp_path / "side"
    write(path)
    for sides in ((strong, path), (path, strong)):
        outcome = holdfast("compare", *sides, "--fail-on", "regression")
        assert said in outcome.sentence
        assert outcome.code == RECORD


def test_a_file_that_cannot_be_written_is_one_sentence(holdfast, strong, tmp_path):
    (tmp_path / "file").touch()
    outcome = holdfast("compare", strong, strong, "--output", tmp_path / "file" / "report.md")
    assert (outcome.code, "cannot be written" in outcome.sentence) == (RECORD, True)


@pytest.fixture(scope="module")
def baseline(checkpoint, tmp_path_factory):
    """A score of one checkpoint."""
    import sys

    from holdfast.cli import main

    out = tmp_path_factory.mktemp("baseline") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["holdfast", "score", str(checkpoint("llama")), *FEW, "--out", str(out)])
        with pytest.raises(SystemExit, match="0"):
            main()
    return out


def test_a_score_is_compared_with_its_baseline_in_one_go(holdfast, checkpoint, baseline, tmp_path):
    arguments = ("score", checkpoint("llama"), *FEW, "--out", tmp_path / "out", "--baseline", baseline)
    outcome = holdfast(*arguments)
    assert (outcome.code, outcome.err) == (0, "")
    for said in ("median break cost", "base → cand.", "gate (regression): passed"):
        assert said in outcome.out
    document = json.loads(holdfast(*arguments, "--json", "--fail-on", "drop>5%").out)
    assert {result["attack"]["name"] for result in document["results"]} == set(OFFICIAL_ATTACKS)
    assert document["comparison"]["verdict"] == "no evidence"
    assert document["comparison"]["gate"] == {"fail_on": ["drop>5%"], "passed": True, "failures": []}


def test_a_score_that_fell_fails_against_its_baseline(holdfast, checkpoint, baseline, tmp_path):
    better = tmp_path / "better"
    for file in sorted(baseline.glob("results/*/*.json")):
        result = json.loads(file.read_text())
        for record in result["records"]:
            record |= {"clean_correct": True, "break_cost": None}
        target = better / file.relative_to(baseline)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(result))
    arguments = ("score", checkpoint("llama"), *FEW, "--out", baseline, "--baseline", better, "--fail-on", "drop>5%")
    outcome = holdfast(*arguments)
    assert outcome.code == GATE
    assert outcome.err.startswith("The gate failed: password-match × ")


def test_a_baseline_with_more_than_is_scored_fails_nothing_but_what_is_scored(holdfast, checkpoint, baseline, tmp_path):
    arguments = (*FEW, "--attack", "random_token", "--out", tmp_path / "out", "--baseline", baseline)
    outcome = holdfast("score", checkpoint("llama"), *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert "missing" not in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--fail-on", "regression"), USAGE, "--fail-on needs --baseline"),
        (("--baseline", "BASE", "--fail-on", "drop"), USAGE, "is neither `regression` nor"),
        (("--baseline", "/no/such"), RECORD, "There is no result at /no/such"),
        (("--baseline", "OTHER"), RECORD, "holds no results of what is scored here"),
    ],
)
def test_a_baseline_that_cannot_be_is_refused_before_anything_is_attacked(
    holdfast, checkpoint, baseline, strong, tmp_path, arguments, code, said
):
    arguments = [{"BASE": baseline, "OTHER": strong}.get(each, each) for each in arguments]
    outcome = holdfast("score", checkpoint("llama"), *FEW, "--out", tmp_path / "out", *arguments)
    assert said in outcome.sentence
    assert outcome.code == code
    assert not (tmp_path / "out").exists()
