from itertools import islice

import pytest
import torch
from torch import Tensor

from rainclear.training.feed import feed


class Numbers:
    def sample(self, index: int) -> dict[str, Tensor]:
        return {"index": torch.tensor(index)}


def numbers(count: int, **options: int) -> list[list[int]]:
    batches = feed(Numbers(), start=10, batch=4, **options)
    return [batch["index"].tolist() for batch in islice(batches, count)]


def test_batches_follow_one_another() -> None:
    assert numbers(2) == [[10, 11, 12, 13], [14, 15, 16, 17]]


def test_processes_share_every_batch() -> None:
    shares = [numbers(2, rank=rank, world=2) for rank in range(2)]
    assert shares == [[[10, 11], [14, 15]], [[12, 13], [16, 17]]]


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(workers: int) -> None:
    assert numbers(3, workers=workers) == numbers(3)
