"""Examples are dealt out longest first, in shards that fill a lockstep, without leaving workers idle."""

import pytest

from holdfast.benchmark.shards import Shards, shard_size
from holdfast.tasks import Example

EXAMPLES = [Example(f"e{number:02}", "word " * (1 + number * 7 % 20), "\nYes or no?", 0) for number in range(20)]


def dealt(shards: Shards) -> list[list[str]]:
    return [[example.id for example in shard.examples] for shard in iter(shards.take, None)]


def test_every_example_is_dealt_out_once_and_the_longest_first() -> None:
    ids = [name for shard in dealt(Shards(EXAMPLES, 3, 2)) for name in shard]
    assert sorted(ids) == [example.id for example in EXAMPLES]
    length = {example.id: len(example.text()) for example in EXAMPLES}
    assert [length[name] for name in ids] == sorted(length.values(), reverse=True)


@pytest.mark.parametrize(
    ("examples", "workers", "full"), [(200, 8, 16), (500, 2, 8), (7, 3, 16), (1, 4, 8), (64, 4, 8)]
)
def test_shards_are_at_least_a_lockstep_and_at_most_a_fair_share(examples: int, workers: int, full: int) -> None:
    left = examples
    while left:
        size = shard_size(left, workers, full)
        share = -(-left // workers)
        assert min(full, share) <= size <= share
        left -= size


def test_what_a_lost_worker_left_is_handed_out_next() -> None:
    shards = Shards(EXAMPLES, 2, 4)
    first = shards.take()
    assert first is not None
    finished = {first.examples[0].id}
    again = shards.give_back(first, finished)
    assert again is not None
    assert shards.take() == again
    assert {example.id for example in again.examples} == {example.id for example in first.examples} - finished


def test_losses_are_counted_only_where_nothing_was_finished() -> None:
    shards = Shards(EXAMPLES, 2, 4)
    shard = shards.take()
    assert shard is not None
    once = shards.give_back(shard, ())
    assert once is not None
    twice = shards.give_back(once, ())
    assert twice is not None
    assert (once.lost, twice.lost) == (1, 2)
    further = shards.give_back(twice, {twice.examples[0].id})
    assert further is not None
    assert further.lost == 0
    assert shards.give_back(further, {example.id for example in further.examples}) is None
