import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rainclear.errors import ConfigError
from rainclear.fleet.shares import Share, shares

BUSY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MACHINES = st.lists(st.integers(0, 64), min_size=1, max_size=6)


@pytest.mark.parametrize(
    ("cpus", "workers", "wanted"),
    [
        ([2], None, Share(workers=1, cpus=2)),
        ([2], 2, Share(workers=2, cpus=1)),
        ([16], None, Share(workers=4, cpus=4)),
        ([16, 2], None, Share(workers=4, cpus=4)),
        ([4, 4, 4], 2, Share(workers=2, cpus=4)),  # no worker spans two machines
        ([4, 4, 4], 4, Share(workers=4, cpus=2)),
    ],
)
def test_processors(cpus, workers, wanted):
    assert shares(cpus, [0] * len(cpus), workers) == wanted


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers", "wanted"),
    [
        ([16], [1], None, Share(workers=1, cpus=16, gpus=1.0)),
        ([16, 64], [1, 4], None, Share(workers=5, cpus=16, gpus=1.0)),
        ([16], [1], 2, Share(workers=2, cpus=8, gpus=0.5)),
        ([16, 8], [2, 0], 2, Share(workers=2, cpus=8, gpus=1.0)),  # one machine has none
    ],
)
def test_gpus(cpus, gpus, workers, wanted):
    assert shares(cpus, gpus, workers) == wanted


@pytest.mark.parametrize(
    ("cpus", "gpus", "workers"),
    [([2], [0], 3), ([2], [0], 0), ([0], [0], None), ([1], [2], 2), ([], [], None)],
)
def test_no_room(cpus, gpus, workers):
    with pytest.raises(ConfigError):
        shares(cpus, gpus, workers)


@BUSY_MACHINE
@given(MACHINES, st.integers(1, 40))
def test_workers_fit_and_a_larger_share_would_not(cpus, workers):
    if sum(cpus) < workers:
        return
    share = shares(cpus, [0] * len(cpus), workers)
    assert sum(count // share.cpus for count in cpus) >= workers == share.workers
    assert sum(count // (share.cpus + 1) for count in cpus) < workers


@BUSY_MACHINE
@given(MACHINES, st.integers(1, 8), st.integers(1, 40))
def test_gpu_workers_fit(cpus, each, workers):
    gpus = [each] * len(cpus)
    try:
        share = shares(cpus, gpus, workers)
    except ConfigError:
        return
    on_a_machine = each * round(1 / share.gpus)
    assert sum(on_a_machine for _ in cpus) >= workers
    assert all(share.cpus * on_a_machine <= count for count in cpus)
    assert math.isclose(share.gpus * round(1 / share.gpus), 1.0)
