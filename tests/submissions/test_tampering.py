"""Tampering with an entry is caught: each way of doing so by name, with the reason that is given.

What only the model can tell is forged with care: flags, logits, sums and digests all fit each other, so that nothing
but a forward pass remains to contradict it.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scored_entries import BUNDLED
from tampered import GCG, RANDOM, Forged, forged, in_manifest, in_result, parquet

from holdfast.benchmark.digest import checkpoint_digest
from holdfast.benchmark.results import sha256
from holdfast.benchmark.victim import load_victim
from holdfast.submissions.check import check_entry
from holdfast.submissions.entry import file_of
from holdfast.submissions.verify import Evaluations, Request, verify_entry
from holdfast.tasks import get_task

REQUEST = Request(by="the tests", device="cpu")
EVALUATIONS = Evaluations(None)
TRACE = "traces/password-match/gcg-suffix.parquet"


def said_of(entry: Path) -> list[str]:
    """Everything that `holdfast verify` has against an entry."""
    report = verify_entry(entry, REQUEST, EVALUATIONS)
    assert report.verified == (not report.problems and not any(result.problems for result in report.results))
    return [message for _, message in report.problems] + [each for result in report.results for each in result.problems]


def swapped(logits: list[float]) -> list[float]:
    return logits[::-1]


# What needs no model.


def a_break_that_the_trace_denies(entry: Path) -> None:
    with forged(entry, mended=False) as forgery:
        record = forgery.records[forgery.held()]
        record["break_cost"] = record["cost"]


def a_cheaper_break(entry: Path) -> None:
    with forged(entry) as forgery:
        record = forgery.records[forgery.broken()]
        record["cost"] = record["break_cost"] = record["cost"] // 2 + 1


def a_break_for_less_than_an_iteration(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.charge(forgery.broken(), 0)
        forgery.records[forgery.broken()]["break_cost"] = 1


def a_break_beyond_the_budget(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.charge(forgery.broken(), 10**6)


def an_attack_that_went_on_after_the_break(entry: Path) -> None:
    with forged(entry, RANDOM) as forgery:
        i = forgery.broken()
        first = forgery.records[i]["break_cost"]
        forgery.charge(i, forgery.records[i]["iterations"] + 5)
        forgery.records[i]["break_cost"] = first


def a_held_example_that_was_hardly_attacked(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.charge(forgery.held(), 1)


def an_example_twice(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.records[1], forgery.rows[1] = forgery.records[0], forgery.rows[0]


def rows_in_another_order(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows.reverse()


def fewer_rows_than_records(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows.pop()


def the_other_attacks_trace(entry: Path) -> None:
    shutil.copy(file_of(entry, "traces", RANDOM), file_of(entry, "traces", GCG))


def the_other_attacks_trace_with_its_digest(entry: Path) -> None:
    Forged(entry, GCG).write_trace(file_of(entry, "traces", RANDOM).read_bytes())


def the_other_attacks_files(entry: Path) -> None:
    for kind in ("results", "traces"):
        shutil.copy(file_of(entry, kind, RANDOM), file_of(entry, kind, GCG))


def half_a_trace(entry: Path) -> None:
    Forged(entry, GCG).write_trace(file_of(entry, "traces", GCG).read_bytes()[:-200])


def a_trace_with_a_hole(entry: Path) -> None:
    content = bytearray(file_of(entry, "traces", GCG).read_bytes())
    content[40:240] = bytes(200)
    Forged(entry, GCG).write_trace(bytes(content))


def logits_that_are_no_numbers(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["clean_logits"] = [float("nan"), 1.0]


def a_held_example_without_its_string(entry: Path) -> None:
    with forged(entry) as forgery:
        row = forgery.rows[forgery.held()]
        row["attack_string"] = row["attack_tokens"] = row["attack_logits"] = None


def a_longer_string(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_tokens"] += forgery.rows[0]["attack_tokens"]


def a_string_of_a_megabyte(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_string"] = "x" * 1_000_000


def a_decompression_bomb(entry: Path) -> None:
    forgery = Forged(entry, GCG)
    rows = [{**row, "attack_string": f"{i}" + "\0" * 9_000_000} for i, row in enumerate(forgery.rows)]
    forgery.write_trace(parquet(rows, compression="zstd", compression_level=19))


def a_bomb_of_one_long_string(entry: Path) -> None:
    forgery = Forged(entry, GCG)
    rows = [{**row, "attack_string": "\0" * 30_000_000} for row in forgery.rows]
    forgery.write_trace(parquet(rows, compression="zstd", compression_level=19))


def another_checkpoint(entry: Path) -> None:
    folder = entry.parents[1] / "checkpoints" / "small"
    shutil.rmtree(folder)
    shutil.copytree(BUNDLED / "password-match-adversarial", folder)


def a_checkpoint_that_is_a_link(entry: Path) -> None:
    folder = entry.parents[1] / "checkpoints" / "small"
    folder.rename(entry.parents[2] / "elsewhere")
    folder.symlink_to(entry.parents[2] / "elsewhere")


def a_result_that_is_a_link(entry: Path) -> None:
    path = file_of(entry, "results", GCG)
    path.rename(entry.parents[2] / "elsewhere.json")
    path.symlink_to(entry.parents[2] / "elsewhere.json")


def evidence_that_is_a_link_out(entry: Path) -> None:
    (entry.parents[2] / "outside").mkdir()
    (entry / "evidence").symlink_to(entry.parents[2] / "outside")


def a_half_written_record_that_is_a_link_out(entry: Path) -> None:
    folder = entry / "evidence" / "password-match"
    folder.mkdir(parents=True)
    (folder / ".gcg-suffix.json.partial").symlink_to(entry.parents[2] / "outside")


def a_manifest_of_a_gigabyte(entry: Path) -> None:
    with (entry / "submission.yaml").open("r+b") as file:
        file.truncate(10**9)


def a_result_of_brackets(entry: Path) -> None:
    file_of(entry, "results", GCG).write_bytes(b"[" * 900_000)


def absurdly_many_records(entry: Path) -> None:
    with forged(entry) as forgery:
        for i in range(600):
            forgery.records.append({**forgery.records[0], "id": f"password-match-{i:012x}"})


def thousands_of_files(entry: Path) -> None:
    folder = entry / "results" / "word-length"
    folder.mkdir()
    for i in range(2_000):
        (folder / f"a{i}-suffix.json").touch()


BILLION_LAUGHS = "name: &a [x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\nlicence:"

WITHOUT_THE_MODEL: dict[str, tuple[Callable[[Path], None], str]] = {
    "a break that the trace denies": (a_break_that_the_trace_denies, "broken in one of result and trace"),
    "a cheaper break": (a_cheaper_break, r"is not that of \d whole iterations"),
    "a break for less than an iteration": (a_break_for_less_than_an_iteration, "the same|less than one iteration"),
    "a break beyond the budget": (a_break_beyond_the_budget, "exceeds the budget"),
    "an attack that went on after the break": (an_attack_that_went_on_after_the_break, "cost and break cost must be"),
    "a held example that was hardly attacked": (a_held_example_that_was_hardly_attacked, "until the budget was spent"),
    "a negative cost": (in_result("records", 0, "cost", value=-1), "greater than or equal to 0"),
    "a cost without end": (in_result("records", 0, "cost", value=float("inf")), r"records\.0\.cost"),
    "a budget that is no number": (in_result("budget", value=float("nan")), "budget: .*finite"),
    "absurdly many iterations": (in_result("records", 0, "iterations", value=10**30), "is not that of|iterations"),
    "absurdly many examples": (in_result("summary", "examples", value=10**12), "summary.examples: it is 10000000"),
    "absurdly many records": (absurdly_many_records, "there must be 1 to 500"),
    "a better summary": (in_result("summary", "broken", value=0), "summary.broken: it is 0, and the records give"),
    "another attack success rate": (in_result("summary", "attack_success_rate", value=0.0), "attack_success_rate"),
    "another clean accuracy": (in_result("summary", "clean_accuracy", value=0.5), "summary.clean_accuracy"),
    "an example twice": (an_example_twice, "is there 2 times"),
    "rows in another order": (rows_in_another_order, "in another order than in the result"),
    "fewer rows than records": (fewer_rows_than_records, "its examples are not those of the result"),
    "other data": (in_result("task", "digest", value="ab" * 32), "scored on other examples"),
    "data of another version": (in_result("task", "version", value=7), "scored on version 7"),
    "data that are not official": (in_result("task", "official", value=False), "only scores on the official"),
    "another task": (in_result("task", "name", value="word-length"), "the result is of word-length"),
    "a task that is a path": (in_result("task", "name", value="../../etc"), r"There is no task '../../etc'"),
    "a weaker attack": (in_result("attack", "parameters", "candidates", value=1), "they are not those of gcg"),
    "a profile that was not run": (in_result("profile", value="full"), "full means 500 examples"),
    "the other attack's trace": (the_other_attacks_trace, "not the trace that the result was written with"),
    "the other attack's trace with its digest": (
        the_other_attacks_trace_with_its_digest,
        "it is broken in one of result and trace and not in the other",
    ),
    "the other attack's files": (the_other_attacks_files, "the result is of .* random_token-suffix"),
    "half a trace": (half_a_trace, "not a readable parquet file"),
    "a trace with a hole": (a_trace_with_a_hole, "not a readable parquet file|must be|its examples|more than"),
    "logits that are no numbers": (logits_that_are_no_numbers, "clean_logits must be two finite numbers"),
    "a held example without its string": (a_held_example_without_its_string, "attacked, and no string is recorded"),
    "a longer string": (a_longer_string, "has 20 tokens, and the attack writes 10"),
    "a string of a megabyte": (a_string_of_a_megabyte, "a text of more than 4000 characters"),
    "a decompression bomb": (a_decompression_bomb, "[Ii]t unpacks to .* more than a trace can have"),
    "a bomb of one long string": (a_bomb_of_one_long_string, "a text of more than 4000 characters|[Ii]t unpacks to"),
    "another checkpoint": (another_checkpoint, "was scored, and what lies in the registry is"),
    "a checkpoint that is a link": (a_checkpoint_that_is_a_link, "leads outside the registry through a link"),
    "a checkpoint elsewhere": (
        in_manifest("path: checkpoints/small", "path: checkpoints/../../x"),
        "a path inside the registry has no '..'",
    ),
    "another victim digest": (in_result("victim", "digest", value="ab" * 32), "victim.digest: abababababab was scored"),
    "a victim of another name": (in_result("victim", "reference", value="x/y"), "not the victim that the manifest"),
    "a smaller victim": (in_manifest("parameters: 125824", "parameters: 1000"), "victim.parameters: 125,824 here"),
    "a slug of another alphabet": (in_manifest("slug: sound", "slug: s\u043eund"), "a slug has only small ASCII"),
    "a slug that climbs": (in_manifest("slug: sound", "slug: ../sound"), "a slug has only small ASCII"),
    "another entry's slug": (in_manifest("slug: sound", "slug: other"), "it is other, and the folder is called sound"),
    "a name that turns direction": (in_manifest("A sound", '"A \\u202Esound"\n#'), r"the character U\+202E"),
    "a link that is a script": (
        in_manifest("licence:", "links: [{title: x, url: 'javascript:alert(1)'}]\nlicence:"),
        "begin with http:// or https://",
    ),
    "a billion laughs": (in_manifest("name: A sound entry\n", BILLION_LAUGHS[:-8]), "anchors and aliases"),
    "a tag": (in_manifest("name: A sound entry", "name: !!python/object/apply:os.system [id]"), "tags"),
    "a manifest of a gigabyte": (a_manifest_of_a_gigabyte, r"too large: 1,000,[\d,]+ bytes"),
    "a result of brackets": (a_result_of_brackets, "not a valid result|recursion"),
    "a result that is a link": (a_result_that_is_a_link, "links are not allowed"),
    "evidence that is a link out": (evidence_that_is_a_link_out, "links are not allowed"),
    "a half-written record that is a link out": (a_half_written_record_that_is_a_link_out, "links are not allowed"),
    "a pipe": (lambda entry: os.mkfifo(entry / "evidence"), "neither a file nor a folder"),
    "code": (lambda entry: (entry / "modeling.py").touch(), "an entry has no such file"),
    "thousands of files": (thousands_of_files, "more than 400 files"),
}


# What only the model can tell.


def the_best_examples(entry: Path) -> None:
    """The third example replaced by one that the submitter likes better, with all that belongs to it."""
    liked = get_task("password-match").evaluation().examples[100]
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.records[2] |= {"id": liked.id, "label": liked.label}
            row = forgery.rows[2]
            if row["label"] != liked.label:
                row["clean_logits"], row["attack_logits"] = swapped(row["clean_logits"]), swapped(row["attack_logits"])
            row |= {"example_id": liked.id, "label": liked.label}


def examples_in_another_order(entry: Path) -> None:
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.records.reverse()
            forgery.rows.reverse()


def another_label(entry: Path) -> None:
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            label = 1 - forgery.records[0]["label"]
            forgery.records[0]["label"] = forgery.rows[0]["label"] = label
            for name in ("clean_logits", "attack_logits"):
                forgery.rows[0][name] = swapped(forgery.rows[0][name])


def a_break_that_is_none(entry: Path) -> None:
    with forged(entry) as forgery:
        i = forgery.held()
        forgery.records[i]["break_cost"] = forgery.records[i]["cost"]
        forgery.rows[i] |= {"broken": True, "attack_logits": swapped(forgery.rows[i]["attack_logits"])}


def a_break_kept_quiet(entry: Path) -> None:
    with forged(entry) as forgery:
        i = forgery.broken()
        forgery.records[i]["break_cost"] = None
        forgery.spend_all(i)
        forgery.rows[i] |= {"broken": False, "attack_logits": swapped(forgery.rows[i]["attack_logits"])}


def an_example_passed_over(entry: Path) -> None:
    """An example that is right when clean is said to be wrong, so that it need not be attacked."""
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            i = 0
            forgery.records[i] |= {"clean_correct": False, "break_cost": None, "cost": 0, "iterations": 0}
            nothing = dict.fromkeys(("attack_string", "attack_tokens", "attack_logits"))
            forgery.rows[i] |= {"broken": False, "clean_logits": swapped(forgery.rows[i]["clean_logits"]), **nothing}


def strings_swapped(entry: Path) -> None:
    with forged(entry) as forgery:
        one, other = (row for row in forgery.rows[:3] if row["broken"])
        for name in ("attack_string", "attack_tokens"):
            one[name], other[name] = other[name], one[name]


def a_string_that_its_tokens_do_not_write(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_string"] += "!"


def tokens_that_nobody_may_write(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_tokens"][3] = 0


def tokens_beyond_the_vocabulary(entry: Path) -> None:
    with forged(entry) as forgery:
        forgery.rows[0]["attack_tokens"][3] = 2**31 - 1


def tokens_that_merge(entry: Path) -> None:
    """Two tokens that the tokenizer would write as one: as a text, this string is another."""
    tokenizer = load_victim(entry.parents[1] / "checkpoints" / "small", device="cpu").tokenizer
    for whole in range(300, 1_000):
        left, right = tokenizer.decode([whole])[:-1], tokenizer.decode([whole])[-1:]
        if not left:
            continue
        halves = tokenizer(left).input_ids + tokenizer(right).input_ids
        if len(halves) == 2 and tokenizer(left + right).input_ids == [whole]:
            break
    else:
        raise AssertionError("no pair of tokens merges")
    with forged(entry) as forgery:
        row = forgery.rows[0]
        row["attack_tokens"][4:6] = halves
        row["attack_string"] = tokenizer.decode(row["attack_tokens"])


def logits_that_look_surer(entry: Path) -> None:
    with forged(entry) as forgery:
        row = forgery.rows[forgery.held()]
        row["attack_logits"] = [1.05 * value for value in row["attack_logits"]]


def shorter_texts(entry: Path) -> None:
    """T is what costs are computed from: shorter texts make every break look dearer in iterations, and here cheaper."""
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            i = 0
            forgery.records[i]["tokens"] -= 20
            forgery.charge(i, forgery.records[i]["iterations"])


def texts_that_were_shortened(entry: Path) -> None:
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.records[0]["truncated"] = True


def fewer_parameters(entry: Path) -> None:
    """N is what costs are computed from, too."""
    in_manifest("parameters: 125824", "parameters: 125000")(entry)
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            forgery.result["victim"]["parameters"] = 125_000
            for i, record in enumerate(forgery.records):
                if record["break_cost"] is None:
                    forgery.spend_all(i)
                else:
                    forgery.charge(i, record["iterations"])


def of_the_victim(field: str, value: object) -> Callable[[Path], None]:
    def change(entry: Path) -> None:
        for key in (GCG, RANDOM):
            with forged(entry, key) as forgery:
                forgery.result["victim"][field] = value

    return change


def another_checkpoint_under_its_digest(entry: Path) -> None:
    """The strings belong to the undefended checkpoint; the one that is submitted was trained against them."""
    another_checkpoint(entry)
    of_the_victim("digest", checkpoint_digest(entry.parents[1] / "checkpoints" / "small"))(entry)


def weights_of_another_scale(entry: Path) -> None:
    """A victim whose logits are all tiny, so that every difference would look like rounding."""
    from safetensors.torch import load_file, save_file

    path = entry.parents[1] / "checkpoints" / "small" / "model.safetensors"
    tensors = load_file(path)
    tensors["score.weight"] *= 1e-6
    save_file(tensors, path, metadata={"format": "pt"})
    of_the_victim("digest", checkpoint_digest(path.parent))(entry)
    for key in (GCG, RANDOM):
        with forged(entry, key) as forgery:
            for row in forgery.rows:
                row["clean_logits"] = [1e-6 * value for value in row["clean_logits"]]
                row["attack_logits"] = [1e-6 * value for value in row["attack_logits"]]
    a_break_kept_quiet(entry)


ONLY_THE_MODEL: dict[str, tuple[Callable[[Path], None], str]] = {
    "the best examples": (the_best_examples, "its example 3 is .* is number 3 of the official order"),
    "examples in another order": (examples_in_another_order, "its example 1 is"),
    "another label": (another_label, "its label is [01], and [01] is recorded"),
    "a break that is none": (a_break_that_is_none, "recorded as broken, and it is right"),
    "a break kept quiet": (a_break_kept_quiet, "recorded as held, and it is wrong"),
    "an example passed over": (an_example_passed_over, "without an attack it is recorded as wrong, and it is right"),
    "strings swapped": (strings_swapped, "with its string it is recorded as broken, and"),
    "a string that its tokens do not write": (a_string_that_its_tokens_do_not_write, "its attack tokens write"),
    "tokens that nobody may write": (tokens_that_nobody_may_write, "its attack tokens cannot be written"),
    "tokens beyond the vocabulary": (tokens_beyond_the_vocabulary, "its attack tokens cannot be written"),
    "tokens that merge": (tokens_that_merge, "do not tokenize back to themselves in place"),
    "logits that look surer": (logits_that_look_surer, "recorded as held, and its logits differ"),
    "shorter texts": (shorter_texts, r"its text has \d+ tokens, and \d+ are recorded"),
    "texts that were shortened": (texts_that_were_shortened, r"and \d+, shortened are recorded"),
    "fewer parameters": (fewer_parameters, "victim.parameters: 125000 is recorded, and the checkpoint has 125824"),
    "another context": (of_the_victim("context", 512), "victim.context: 512 is recorded"),
    "another architecture": (of_the_victim("architecture", "llama"), "victim.architecture: llama is recorded"),
    "another checkpoint under its digest": (another_checkpoint_under_its_digest, "with its string it is recorded as"),
    "weights of another scale": (weights_of_another_scale, "recorded as held, and it is wrong"),
}


def outside(entry: Path) -> set[Path]:
    """All files around an entry."""
    return {path for path in entry.parents[2].rglob("*") if not path.is_relative_to(entry)}


@pytest.mark.parametrize("name", WITHOUT_THE_MODEL | ONLY_THE_MODEL)
def test_tampering_is_caught(scored: Path, name: str) -> None:
    change, reason = (WITHOUT_THE_MODEL | ONLY_THE_MODEL)[name]
    change(scored)
    before = outside(scored)
    said = said_of(scored)
    assert any(re.search(reason, each) for each in said), said
    assert outside(scored) == before
    if name in WITHOUT_THE_MODEL:
        assert not list(scored.glob("evidence/*/*.json"))


@pytest.mark.parametrize("name", ONLY_THE_MODEL)
def test_only_the_model_can_tell(scored: Path, name: str) -> None:
    ONLY_THE_MODEL[name][0](scored)
    assert check_entry(scored) == []


def test_a_sound_entry_is_verified(scored: Path) -> None:
    assert said_of(scored) == []
    assert len(list(scored.glob("evidence/*/*.json"))) == 2


def test_only_the_result_that_was_tampered_with_is_refused(scored: Path) -> None:
    a_break_kept_quiet(scored)
    report = verify_entry(scored, REQUEST, EVALUATIONS)
    assert {result.key.attack: result.level for result in report.results} == {
        "gcg": "scored",
        "random_token": "replayed",
    }
    assert [path.name for path in scored.glob("evidence/*/*")] == ["random_token-suffix.json"]


def test_forged_evidence_is_refuted_when_asked_again(scored: Path) -> None:
    assert said_of(scored) == []
    genuine = {path: path.read_bytes() for path in scored.glob("evidence/*/*.json")}
    a_break_kept_quiet(scored)
    forged_record = json.loads(file_of(scored, "evidence", GCG).read_bytes())
    forged_record["digests"] |= {
        "result": sha256(file_of(scored, "results", GCG).read_bytes()),
        "trace": sha256(file_of(scored, "traces", GCG).read_bytes()),
    }
    file_of(scored, "evidence", GCG).write_text(json.dumps(forged_record))
    assert said_of(scored) == [], "current evidence is taken at its word"
    report = verify_entry(scored, Request(by="the tests", device="cpu", again=True), EVALUATIONS)
    [gcg] = [result for result in report.results if result.key == GCG]
    assert "recorded as held, and it is wrong" in gcg.problems[0]
    assert "the evidence of the tests says otherwise; delete it" in gcg.problems[-1]
    assert set(genuine) == set(scored.glob("evidence/*/*.json")), "nothing is removed"
