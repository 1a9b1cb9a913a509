"""Verifying an entry: what is sound gets evidence, what is not gets none, and an interruption harms nothing."""

import json
import multiprocessing
import random
import shutil
import time
from dataclasses import replace
from pathlib import Path

import hostile_work
import numpy as np
import pytest
from made_entries import make_entry
from safetensors.torch import load_file, save_file
from scored_entries import BUDGET, EXAMPLES, SLUG, score_entry
from tampered import GCG, RANDOM, Forged, forged, in_result
from victims import as_language_model

from holdfast.benchmark.results import parse_result, read_result, sha256
from holdfast.benchmark.victim import load_victim
from holdfast.submissions.check import check_entry
from holdfast.submissions.entry import file_of, load_entry
from holdfast.submissions.evidence import Evidence, read_evidence
from holdfast.submissions.replay import Answers, Replayer
from holdfast.submissions.reproduce import draw, reproduce
from holdfast.submissions.traces import read_trace
from holdfast.submissions.verdicts import Reproducing
from holdfast.submissions.verify import EntryReport, Evaluations, Request, verify_entries, verify_entry, write_evidence
from holdfast.tasks import RecordError, get_task

REQUEST = Request(by="Ada Tester", device="cpu")
EVALUATIONS = Evaluations(None)


def verify(entry: Path, **changes) -> EntryReport:
    return verify_entry(entry, replace(REQUEST, **changes), EVALUATIONS)


def said(report: EntryReport) -> list[str]:
    return [message for _, message in report.problems] + [each for result in report.results for each in result.problems]


def records(folder: Path) -> dict[str, Evidence]:
    return {path.stem: read_evidence(path) for path in folder.glob("evidence/*/*.json")}


def test_evidence_says_who_verified_what_when_and_with_what(scored: Path) -> None:
    report = verify(scored)
    assert report.verified
    assert set(records(scored)) == {"gcg-suffix", "random_token-suffix"}
    evidence = records(scored)["gcg-suffix"]
    result = read_result(file_of(scored, "results", GCG))
    assert evidence.level == "replayed"
    assert evidence.verified_by == "Ada Tester"
    assert evidence.versions["torch"]
    assert evidence.digests.result == sha256(file_of(scored, "results", GCG).read_bytes())
    assert evidence.digests.trace == result.trace_sha256
    assert evidence.digests.victim == result.victim.digest
    assert evidence.digests.data == get_task("password-match").digest
    assert evidence.replay.examples == EXAMPLES
    assert evidence.replay.broken == result.summary.broken
    assert evidence.replay.near_ties == 0
    assert check_entry(scored) == []
    assert load_entry(scored).level == "replayed"


def test_one_forward_pass_per_recorded_string_and_one_per_example(scored: Path) -> None:
    victim = load_victim(scored.parents[1] / "checkpoints" / "small", device="cpu")
    asked: list[str] = []
    logits = victim.logits

    def counted(text: str) -> np.ndarray:
        asked.append(text)
        return logits(text)

    victim.logits = counted  # type: ignore[method-assign]
    replayer = Replayer(victim, EVALUATIONS.of("password-match"))
    strings = 0
    for key in (GCG, RANDOM):
        result = read_result(file_of(scored, "results", key))
        rows = read_trace(file_of(scored, "traces", key).read_bytes())
        problems, _ = replayer.replay(result, rows)
        assert problems == []
        strings += sum(row.attack_string is not None for row in rows)
    assert len(asked) == EXAMPLES + strings


def test_what_has_current_evidence_is_kept_until_its_files_change(scored: Path) -> None:
    assert [result.kept for result in verify(scored).results] == [False, False]
    assert [result.kept for result in verify(scored).results] == [True, True]
    assert [result.kept for result in verify(scored, again=True).results] == [False, False]
    in_result("run", "peak_memory", value=1)(scored)
    assert {result.key: result.kept for result in verify(scored).results} == {GCG: False, RANDOM: True}
    file_of(scored, "evidence", RANDOM).write_text("{")
    assert {result.key: result.kept for result in verify(scored).results} == {GCG: True, RANDOM: False}
    assert len(records(scored)) == 2


def test_evidence_can_be_written_elsewhere(scored: Path, tmp_path: Path) -> None:
    before = sorted(scored.rglob("*"))
    assert verify(scored, out=tmp_path / "out").verified
    assert sorted(scored.rglob("*")) == before
    assert len(records(tmp_path / "out" / SLUG)) == 2
    assert all(result.kept for result in verify(scored, out=tmp_path / "out").results)


def test_figures_from_a_publication_have_nothing_to_replay() -> None:
    folder = Path(__file__).parents[2] / "submissions" / "entries" / "pythia-14m-finetuned"
    report = verify(folder)
    assert report.verified
    assert report.curves > 0
    assert report.results == ()


def test_a_made_up_entry_is_refused(tmp_path: Path) -> None:
    """Consistent in every respect, and never scored."""
    entry = make_entry(tmp_path)
    assert check_entry(entry) == []
    assert any("its example 1 is" in each for each in said(verify(entry)))


def test_several_entries_at_a_time_give_what_one_at_a_time_gives(scored: Path) -> None:
    for name in ("second", "third"):
        other = shutil.copytree(scored, scored.parent / name)
        manifest = (other / "submission.yaml").read_text().replace(f"slug: {SLUG}", f"slug: {name}")
        (other / "submission.yaml").write_text(manifest)
    with forged(scored.parent / "second") as forgery:
        forgery.rows[0]["attack_string"] += "!"
    folders = [scored.parent / name for name in ("second", SLUG, "third")]
    reports = {each.folder.name: each for each in verify_entries(folders, replace(REQUEST, jobs=2))}
    assert {name: report.verified for name, report in reports.items()} == {SLUG: True, "second": False, "third": True}


@pytest.mark.parametrize(("limit", "reason"), [({"seconds": 0.001}, "took longer"), ({"memory": 10**6}, "memory")])
def test_limits_end_a_verification_and_say_so(scored: Path, limit: dict, reason: str) -> None:
    report = verify(scored, **limit)
    assert not report.verified
    assert any(reason in each for each in said(report))
    assert not (scored / "evidence").exists()


def test_evidence_goes_nowhere_but_where_it_belongs(scored: Path, tmp_path: Path) -> None:
    verify(scored)
    evidence = records(scored)["gcg-suffix"]
    for name in ("../..", "a/b", "..", "GCG", "", "a\n", "-" * 3 + "/../.."):
        with pytest.raises(RecordError, match="is not the name of a result"):
            write_evidence(tmp_path, GCG._replace(attack=name), evidence.model_copy(update={"attack": name}))
    (tmp_path / "evidence").symlink_to(tmp_path)
    with pytest.raises(RecordError, match="is a link"):
        write_evidence(tmp_path, GCG, evidence)


# Near ties.


def test_logits_may_differ_in_the_last_digits_and_labels_only_with_them() -> None:
    answers = Answers(tolerance=1e-3)
    sure, close = np.array([2.0, -2.0], dtype=np.float32), np.array([0.0002, 0.0], dtype=np.float32)
    assert answers.compare([2.0005, -2.0], sure, 0, True) is None
    assert answers.near_ties == 0
    assert answers.compare([0.0, 0.0003], close, 0, False) is None
    assert answers.near_ties == 1
    assert answers.largest_difference == pytest.approx(0.0005, rel=1e-3)
    assert "its logits differ" in str(answers.compare([2.1, -2.0], sure, 0, True))
    assert "it is right" in str(answers.compare([-2.0, 2.0], sure, 0, False))
    assert "no finite numbers" in str(answers.compare([1.0, 1.0], np.array([np.nan, 1.0]), 0, True))


# Reproduction.


def test_the_attack_run_again_on_a_sample_makes_it_reproduced(scored: Path) -> None:
    assert verify(scored).verified
    assert verify(scored, reproducing=Reproducing(6, seed=3)).verified
    for evidence in records(scored).values():
        assert evidence.level == "reproduced"
        assert evidence.reproduction is not None
        assert evidence.reproduction.seed == 3
        assert evidence.reproduction.identical == len(evidence.reproduction.examples) == 6
        assert evidence.reproduction.same_machine
        assert evidence.reproduction.budget == BUDGET
    assert load_entry(scored).level == "reproduced"
    assert all(result.kept for result in verify(scored, reproducing=Reproducing(6, seed=9)).results)
    assert not any(result.kept for result in verify(scored, reproducing=Reproducing(7, seed=3)).results)


def dearer(entry: Path) -> None:
    """All breaks by chance at twice their cost: what a robust victim would show, and replaying cannot tell."""
    with forged(entry, RANDOM) as forgery:
        for i, record in enumerate(forgery.records):
            if record["break_cost"] is not None:
                forgery.charge(i, record["iterations"] + 3)


def test_costs_that_were_made_up_are_not_reproduced(scored: Path) -> None:
    dearer(scored)
    assert verify(scored).verified, "replaying cannot tell"
    report = verify(scored, reproducing=Reproducing(EXAMPLES, seed=1))
    [problem] = said(report)[:1]
    assert (
        "4 of 10 break costs are not reproduced, though machine class, versions and precision are the same" in problem
    )
    assert records(scored)["random_token-suffix"].level == "replayed", "nothing is removed"


def again(entry: Path, **options) -> tuple[list[str], object]:
    content = file_of(entry, "results", RANDOM).read_bytes()
    result = parse_result(content, entry)
    victim = load_victim(entry.parents[1] / "checkpoints" / "small", device="cpu")
    evaluation = EVALUATIONS.of("password-match")
    arguments = {"count": EXAMPLES, "seed": 0, "most": None} | options
    return reproduce(result, sha256(content), victim, evaluation, **arguments)


def test_on_another_machine_costs_may_differ_but_not_all_one_way(scored: Path) -> None:
    dearer(scored)
    forgery = Forged(scored, RANDOM)
    forgery.result["run"]["versions"]["torch"] = "1.0"
    forgery.write_result()
    problems, reproduction = again(scored)
    assert problems == []
    assert (reproduction.recorded_dearer, reproduction.recorded_cheaper, reproduction.same_machine) == (4, 0, False)
    assert reproduction.p_value == 0.125
    with forged(scored, RANDOM) as forgery:
        for i, record in enumerate(forgery.records):
            if record["break_cost"] is None:
                forgery.records[i]["break_cost"] = 1
                forgery.charge(i, 5)
    problems, reproduction = again(scored)
    assert (reproduction.recorded_dearer, reproduction.recorded_cheaper) == (4, 6)
    assert problems == [], "six one way and four the other is what chance does"


def test_ten_of_ten_one_way_is_no_chance(scored: Path) -> None:
    with forged(scored, RANDOM) as forgery:
        forgery.result["run"]["device"] = "another card"
        for i in range(EXAMPLES):
            forgery.records[i]["break_cost"] = None
            forgery.spend_all(i)
        for i in range(EXAMPLES):
            forgery.records[i]["break_cost"] = 1
            forgery.charge(i, 1)
    problems, reproduction = again(scored)
    assert reproduction.recorded_cheaper == EXAMPLES
    assert reproduction.p_value == pytest.approx(2 / 2**EXAMPLES)
    assert "0 are recorded too dear and 10 too cheap (p = 0.002)" in problems[0]


def test_a_smaller_budget_censors_both_sides(scored: Path) -> None:
    costs = sorted(
        record.break_cost for record in read_result(file_of(scored, "results", RANDOM)).records if record.break_cost
    )
    problems, reproduction = again(scored, most=float(costs[1]))
    assert problems == []
    assert reproduction.budget == costs[1]
    assert reproduction.identical == EXAMPLES


def test_the_draw_follows_from_seed_and_result_and_from_nothing_else(scored: Path) -> None:
    result = read_result(file_of(scored, "results", RANDOM))
    drawn = {tuple(record.id for record in draw(result, digest, 5, seed)) for digest in "abcdef" for seed in range(5)}
    assert len(drawn) > 20
    assert draw(result, "a", 5, 1) == draw(result, "a", 5, 1)
    order = [record.id for record in result.records]
    assert all(sorted(each, key=order.index) == list(each) for each in drawn)
    assert len(draw(result, "a", 100, 1)) == result.summary.clean_correct


# Health checks.


def indifferent(checkpoint: Path) -> None:
    """Give every text the same answer: the last layer before the head lets nothing of the text through."""
    weights = load_file(checkpoint / "model.safetensors")
    weights["gpt_neox.final_layer_norm.weight"].zero_()
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})


@pytest.fixture(scope="module")
def flagged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry whose victim raises a flag, scored with it."""
    registry = tmp_path_factory.mktemp("flagged") / "submissions"
    return score_entry(registry, attacks=["gcg"], change=indifferent)


def test_a_result_with_the_flags_that_its_victim_raises_verifies(flagged: Path) -> None:
    assert read_result(file_of(flagged, "results", GCG)).flags == ["vanishing-gradient"]
    assert verify(flagged).verified


def test_a_result_that_leaves_a_flag_out_does_not_verify(flagged: Path, tmp_path: Path) -> None:
    entry = shutil.copytree(flagged.parents[1], tmp_path / "submissions") / "entries" / SLUG
    in_result("flags", value=[])(entry)
    assert said(verify(entry)) == [
        "flags: the health check vanishing-gradient is raised here, and the result does not say so; score it again"
    ]


def test_a_flag_too_many_is_held_against_nobody(scored: Path) -> None:
    in_result("flags", value=["batch-dependent"])(scored)
    assert verify(scored).verified


# Interruptions.


@pytest.mark.slow
def test_killed_at_any_moment_it_leaves_no_half_written_entry(scored: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    chance = random.Random(0)
    for _ in range(4):
        shutil.rmtree(scored / "evidence", ignore_errors=True)
        process = context.Process(target=hostile_work.verify_for_ever, args=(str(scored), str(scored.parents[1])))
        process.start()
        started = time.monotonic()
        while not (scored / "evidence").exists() and time.monotonic() < started + 120:
            time.sleep(0.001)
        time.sleep(chance.random())
        process.kill()
        process.join()
        assert whole(scored)
    assert verify(scored, again=True).verified
    assert len(records(scored)) == 2
    assert not list(scored.rglob("*.partial"))


def test_killed_while_it_writes_it_leaves_the_old_record_or_the_new_one(scored: Path) -> None:
    verify(scored)
    context = multiprocessing.get_context("fork")
    chance = random.Random(1)
    half_written = 0
    for _ in range(20):
        process = context.Process(target=hostile_work.write_for_ever, args=(scored, GCG, records(scored)["gcg-suffix"]))
        process.start()
        time.sleep(0.02 + 0.02 * chance.random())
        process.kill()
        process.join()
        assert whole(scored)
        half_written += bool(list(scored.rglob("*.partial")))
    assert half_written, "it was killed in the middle of it"
    assert verify(scored, again=True).verified
    assert not list(scored.rglob("*.partial"))


def whole(entry: Path) -> bool:
    """Whether all that counts of an entry's evidence can be read, and nothing else was left but what is ignored."""
    known = {*entry.glob("results/*/*"), *entry.glob("traces/*/*"), entry / "submission.yaml"}
    left = {path for path in entry.rglob("*") if path.is_file() and path.suffix != ".partial"}
    return left == known | {file_of(entry, "evidence", key) for key in load_entry(entry).evidence} and not check_entry(
        entry
    )


# Time.


def test_verifying_takes_a_small_part_of_the_time_the_attack_took(scored: Path) -> None:
    """Loosely: a thousand strings per example were tried here, and a leaderboard's budgets try a million."""
    verify(scored)
    attack = sum(
        json.loads(file_of(scored, "results", key).read_bytes())["run"]["seconds"]["total"] for key in (GCG, RANDOM)
    )
    replays = sum(evidence.replay.seconds for evidence in records(scored).values())
    assert replays < attack / 3


def language_model_entry(tmp_path: Path) -> Path:
    """An entry of the bundled classifier made into a language model that answers in the task's words."""

    def change(folder: Path) -> None:
        made = as_language_model(folder, tmp_path / "made", get_task("password-match").labels)
        shutil.rmtree(folder)
        shutil.copytree(made, folder)

    return score_entry(tmp_path / "submissions", attacks=("random_token",), change=change)


def test_a_language_model_is_replayed_and_reproduced(tmp_path: Path) -> None:
    entry = language_model_entry(tmp_path)
    report = verify(entry, reproducing=Reproducing(examples=6))
    assert report.verified, said(report)
    [evidence] = records(entry).values()
    assert evidence.level == "reproduced"
    assert evidence.replay.broken > 0
    assert evidence.replay.near_ties == 0


def test_a_language_model_that_is_said_to_be_a_classifier_is_found_out(tmp_path: Path) -> None:
    entry = language_model_entry(tmp_path)
    path = file_of(entry, "results", RANDOM)
    path.write_text(path.read_text().replace('"kind": "language-model"', '"kind": "classifier"'))
    assert said(verify(entry)) == ["victim.kind: classifier is recorded, and the checkpoint has language-model"]
