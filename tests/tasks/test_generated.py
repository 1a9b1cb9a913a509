"""The generated tasks keep their promises: right labels, apart from training, the same everywhere."""

import pytest

from holdfast.tasks import Draws, GeneratedSource, UsageError, get_task
from holdfast.tasks.generated import words

GENERATED = ("password-match", "word-length")


def shown_words(example):
    return [line.partition(": ")[2] for line in example.before.splitlines()[-2:]]


@pytest.mark.parametrize("name", GENERATED)
def test_the_evaluation_set_is_the_pinned_one(name):
    evaluation = get_task(name).evaluation()
    assert evaluation.matches
    assert evaluation.mismatch is None
    assert len(evaluation.examples) == 500


@pytest.mark.parametrize("name", GENERATED)
@pytest.mark.parametrize("size", [2, 50, 200, 500])
def test_every_prefix_is_balanced(name, size):
    assert sum(example.label for example in get_task(name).evaluation().examples[:size]) == size // 2


@pytest.mark.parametrize("name", GENERATED)
def test_no_example_appears_twice(name):
    task = get_task(name)
    for examples in (task.evaluation().examples, task.training(2000)):
        assert len({example.id for example in examples}) == len({example.text() for example in examples})
        assert len({example.id for example in examples}) == len(examples)


@pytest.mark.parametrize("name", GENERATED)
def test_training_and_evaluation_share_no_word(name):
    task = get_task(name)
    evaluation = {word for example in task.evaluation().examples for word in shown_words(example)}
    training = {word for example in task.training(5000) for word in shown_words(example)}
    assert not evaluation & training


@pytest.mark.parametrize("name", GENERATED)
def test_training_depends_on_its_seed_alone_and_grows_at_the_end(name):
    task = get_task(name)
    assert task.training(100, seed=3) == task.training(101, seed=3)[:100]
    assert task.training(100, seed=3) != task.training(100, seed=4)
    assert sum(example.label for example in task.training(100, seed=3)) == 50
    assert task.training(0) == []


def test_password_labels_say_whether_the_passwords_are_the_same():
    task = get_task("password-match")
    for example in [*task.evaluation().examples, *task.training(1000)]:
        first, second = shown_words(example)
        assert example.label == (first == second)


def test_word_length_labels_say_whether_the_second_word_is_longer():
    task = get_task("word-length")
    examples = [*task.evaluation().examples, *task.training(1000)]
    for example in examples:
        first, second = shown_words(example)
        assert example.label == (len(second) > len(first))
    assert any(len(set(map(len, shown_words(example)))) == 1 for example in examples), "words of equal length occur"


def test_the_word_list_is_plain_and_about_a_fifth_is_kept_for_evaluation():
    evaluation, training = words(evaluation=True), words(evaluation=False)
    listed = sorted({*evaluation, *training})
    assert len(listed) == len(evaluation) + len(training)
    assert all(word.isascii() and word.isalpha() and word.islower() and 3 <= len(word) <= 10 for word in listed)
    assert 0.19 < len(evaluation) / len(listed) < 0.21


def test_draws_are_fixed_and_uniform():
    draws = Draws("holdfast")
    assert [draws.below(100) for _ in range(8)] == [
        76,
        26,
        19,
        66,
        7,
        92,
        21,
        44,
    ]  # the same on every machine and Python
    counts = [0] * 5
    for _ in range(5000):
        counts[draws.below(5)] += 1
    assert all(900 < count < 1100 for count in counts)


def test_more_examples_than_the_words_allow_is_refused():
    source = GeneratedSource(lambda words, label, draws: {"word": str(label)})
    with pytest.raises(UsageError, match="only about 2 can be made"):
        source.training("few/1", 500, 3, 0, None)


def test_a_negative_count_is_refused():
    with pytest.raises(UsageError, match="must not be negative"):
        get_task("word-length").training(-1)
