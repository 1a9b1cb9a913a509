"""Against the real data, where there is a copy: the pinned digests hold, and training stays apart."""

import pytest

from holdfast.tasks import get_task

SIZES = {"imdb": 24_858, "spam": 28_592, "harmless": 1_688}


@pytest.mark.parametrize("name", SIZES)
def test_the_real_data_give_the_pinned_examples_and_balanced_training_data_apart_from_them(name, mirror):
    task = get_task(name)
    evaluation = task.evaluation(mirror=mirror)
    assert evaluation.matches, evaluation.mismatch
    assert [sum(example.label for example in evaluation.examples[:size]) for size in (50, 200, 500)] == [25, 100, 250]
    training = task.training(mirror=mirror)
    assert len(training) == SIZES[name]
    assert 2 * sum(example.label for example in training) == len(training)
    assert not {example.id for example in evaluation.examples} & {example.id for example in training}
    assert not {example.text() for example in evaluation.examples} & {example.text() for example in training}
