"""Tasks over data sets: chosen by content, from a mirror or the Hub's cache, with errors a person can act on."""

import gzip
import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.tasks import DataError, HubSource, Task, UsageError, get_task
from holdfast.tasks.imdb import review

REPO = "someone/reviews"
REVISION = "0123456789abcdef0123456789abcdef01234567"
ROWS = [{"text": f"review  number {number}\nof a film", "label": number % 2} for number in range(1400)]


def reviews(**changes):
    """A small task like imdb, over any data set called someone/reviews."""
    source = HubSource(
        repo=REPO,
        revision=REVISION,
        evaluation_files=changes.pop("evaluation_files", ("test-*.parquet",)),
        training_files=changes.pop("training_files", ("train-*.parquet",)),
        read=changes.pop("read", review),
    )
    fields = {
        "name": "reviews",
        "title": "Reviews",
        "description": "Reviews.",
        "version": 1,
        "labels": ("negative", "positive"),
        "slot": "After the review.",
        "before": "{text}\n",
        "after": "\nAnswer:",
        "source": source,
        "digest": "f" * 64,
        "licence": "none",
        "citation": "none",
        "homepage": "https://example.org",
    }
    return Task(**(fields | changes))


def write_mirror(root: Path, **files: list[dict]) -> Path:
    """A mirror of the Hub's layout; `test=rows` becomes test-00000-of-00001.parquet."""
    folder = root / "datasets" / REPO
    folder.mkdir(parents=True)
    for split, rows in files.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}-00000-of-00001.parquet")
    return root


@pytest.fixture
def small_mirror(tmp_path):
    return write_mirror(tmp_path / "hub", test=ROWS, train=[*ROWS[:200], {"text": "a new one", "label": 1}])


def test_the_choice_does_not_depend_on_row_order_or_duplicates(tmp_path, small_mirror):
    rows = ROWS + [{"text": "  " + row["text"].replace(" ", "\t ") + "\n", "label": row["label"]} for row in ROWS[:300]]
    random.Random(1).shuffle(rows)
    other = write_mirror(tmp_path / "other", test=rows, train=[])
    assert reviews().evaluation(mirror=other) == reviews().evaluation(mirror=small_mirror)


def test_the_choice_over_all_splits_does_not_depend_on_the_split(tmp_path):
    task = reviews(evaluation_files=("train-*.parquet", "test-*.parquet"))
    one = write_mirror(tmp_path / "one", test=ROWS[:200], train=ROWS[200:])
    other = write_mirror(tmp_path / "other", test=ROWS[900:], train=ROWS[:900])
    assert task.evaluation(mirror=one) == task.evaluation(mirror=other)


@pytest.mark.parametrize("size", [2, 50, 200, 500])
def test_every_prefix_is_balanced(small_mirror, size):
    assert sum(example.label for example in reviews().evaluation(mirror=small_mirror).examples[:size]) == size // 2


def test_text_with_both_labels_is_in_neither_set(tmp_path):
    rows = [*ROWS[:20], {"text": ROWS[3]["text"], "label": 1 - ROWS[3]["label"]}]
    mirror = write_mirror(tmp_path, test=rows, train=rows)
    shown = {example.text() for example in reviews().evaluation(mirror=mirror).examples}
    assert len(shown) == 18, "ten of one label, nine of the other, cut to balance"
    assert "review number 3 of a film\n\nAnswer:" not in shown


def test_training_never_holds_an_evaluation_text(small_mirror):
    task = reviews(training_files=("test-*.parquet",))
    evaluation = {example.text() for example in task.evaluation(mirror=small_mirror).examples}
    training = task.training(mirror=small_mirror)
    assert len(training) == 1400 - 500
    assert sum(example.label for example in training) == 450
    assert not evaluation & {example.text() for example in training}


def test_training_depends_on_its_seed_alone_and_grows_at_the_end(small_mirror):
    task = reviews()
    assert task.training(20, seed=1, mirror=small_mirror) == task.training(30, seed=1, mirror=small_mirror)[:20]
    assert task.training(20, seed=1, mirror=small_mirror) != task.training(20, seed=2, mirror=small_mirror)


def test_more_training_examples_than_there_are_is_refused(small_mirror):
    with pytest.raises(UsageError, match=r"100000 training examples were asked for, but the data hold only \d+"):
        reviews().training(100_000, mirror=small_mirror)


def test_a_mismatch_is_said_in_plain_words_and_raises_nothing(small_mirror):
    evaluation = reviews().evaluation(mirror=small_mirror)
    assert not evaluation.matches
    assert evaluation.mismatch is not None
    for said in ("not comparable with the leaderboard", "incomplete", REVISION[:12], evaluation.digest[:12]):
        assert said in evaluation.mismatch


@pytest.mark.parametrize("change", [{"before": "{text}.\n"}, {"after": "\nanswer:"}, {"name": "review"}])
def test_any_change_of_a_prompt_changes_the_digest(small_mirror, change):
    digest = reviews().evaluation(mirror=small_mirror).digest
    assert reviews(digest=digest).evaluation(mirror=small_mirror).matches
    assert not reviews(digest=digest, **change).evaluation(mirror=small_mirror).matches


def test_the_environment_variable_names_the_mirror_and_an_argument_goes_first(small_mirror, tmp_path, monkeypatch):
    monkeypatch.setenv("HOLDFAST_MIRROR", str(small_mirror))
    assert len(reviews().evaluation().examples) == 500
    with pytest.raises(DataError, match="is not a folder"):
        reviews().evaluation(mirror=tmp_path / "elsewhere")


def test_a_mirror_may_be_relative_and_have_an_odd_name(tmp_path, monkeypatch):
    write_mirror(tmp_path / "a [copy]*", test=ROWS)
    monkeypatch.chdir(tmp_path)
    assert len(reviews().evaluation(mirror=Path("a [copy]*")).examples) == 500


def test_a_mirror_without_the_file_is_named_with_a_way_out(small_mirror, monkeypatch):
    (small_mirror / "datasets" / REPO / "test-00000-of-00001.parquet").unlink()
    monkeypatch.setenv("HOLDFAST_MIRROR", str(small_mirror))
    with pytest.raises(DataError) as caught:
        reviews().evaluation()
    assert str(caught.value) == (
        f"HOLDFAST_MIRROR points to {small_mirror}, which has no datasets/someone/reviews/test-*.parquet; "
        "copy the data set there, or unset the variable to use the Hub."
    )


def test_a_corrupt_file_is_named(small_mirror):
    file = small_mirror / "datasets" / REPO / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"test-00000-of-00001\.parquet cannot be read .*; copy or download it again"):
        reviews().evaluation(mirror=small_mirror)


def test_a_missing_column_is_named_with_those_found(tmp_path):
    mirror = write_mirror(tmp_path, test=[{"body": "a film", "label": 1}])
    with pytest.raises(DataError, match="has no column 'text', only body, label; get someone/reviews at revision"):
        reviews().evaluation(mirror=mirror)


def test_an_impossible_label_is_named_with_its_row(tmp_path):
    mirror = write_mirror(tmp_path, test=[*ROWS[:2], {"text": "unlabelled", "label": -1}])
    with pytest.raises(DataError, match=r"Row 3 of .* holds -1 instead of the label 0 or 1"):
        reviews().evaluation(mirror=mirror)


def test_data_with_one_label_only_is_refused(tmp_path):
    mirror = write_mirror(tmp_path, test=[row for row in ROWS if row["label"] == 1])
    with pytest.raises(DataError, match="at least one of the two labels"):
        reviews().evaluation(mirror=mirror)


def test_offline_with_nothing_cached_says_how_to_go_on():
    with pytest.raises(
        DataError, match=r"someone/reviews at revision 0123456789ab .*HF_HUB_OFFLINE is set.*HOLDFAST_MI"
    ):
        reviews().evaluation()


def test_the_cache_of_the_hub_is_used_offline(small_mirror, tmp_path, monkeypatch):
    """The cache links a snapshot's files to blobs without a suffix; the data are those of the mirror."""
    cached = tmp_path / "cache" / "datasets--someone--reviews"
    snapshot = cached / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (cached / "blobs").mkdir()
    for number, file in enumerate(sorted((small_mirror / "datasets" / REPO).iterdir())):
        blob = cached / "blobs" / str(number)
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blob)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    assert reviews().evaluation() == reviews().evaluation(mirror=small_mirror)


def write_mails(root: Path, mails: list[dict]) -> Path:
    folder = root / "datasets" / "SetFit" / "enron_spam"
    folder.mkdir(parents=True)
    half = len(mails) // 2
    for name, rows in (("train", mails[:half]), ("test", mails[half:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return root


def mail(subject: str, message: str, label: int) -> dict:
    return {"text": f"{subject} {message}".strip(), "subject": subject, "message": message, "label": label}


def test_spam_is_chosen_from_mails_that_every_copy_has_alike_and_the_rest_is_for_training(tmp_path):
    fine = [mail(f"offer {number}", "of the day", number % 2) for number in range(600)]
    odd = [
        mail("caf\u00e9", "opens", 0),
        mail("no-break\u00a0space", "here", 1),
        mail("control\x01character", "here", 0),
        mail("long", "mail " * 1000, 1),
        mail("subject only", "", 0),
        mail("", "body only", 1),
        mail("", "", 0),
    ]
    mirror = write_mails(tmp_path, fine + odd)
    task = get_task("spam")
    evaluation = {example.text() for example in task.evaluation(mirror=mirror).examples}
    training = {example.text() for example in task.training(mirror=mirror)}
    assert len(evaluation) == 500
    assert all("offer" in text for text in evaluation)
    assert len(training) == 106, "everything else but the empty mail"
    assert not evaluation & training


def test_harmless_pairs_are_in_an_order_that_gives_nothing_away(tmp_path):
    folder = tmp_path / "datasets" / "Anthropic" / "hh-rlhf" / "harmless-base"
    folder.mkdir(parents=True)
    rows = [
        {
            "chosen": f"\n\nHuman: question {number // 2}\n\nAssistant: kind {number}",
            "rejected": f"\n\nHuman: question {number // 2}\n\nAssistant: rude {number}",
        }
        for number in range(1400)
    ]
    with gzip.open(folder / "test.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    task = get_task("harmless")
    evaluation, training = task.evaluation(mirror=tmp_path).examples, task.training(mirror=tmp_path)
    for example in [*evaluation, *training]:
        first, second = example.before.split("Second conversation:")
        assert ("kind" in second, "kind" in first) == (example.label == 1, example.label == 0)
    assert len(evaluation) == 500

    def opening(example):
        return example.before.partition("Human: ")[2].partition("\n")[0]

    assert not {opening(example) for example in evaluation} & {opening(example) for example in training}
