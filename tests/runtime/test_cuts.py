"""The cut rule that the Derainer and the device stage share."""

import pytest
import torch

from rainclear.runtime.cuts import blank_thumbnail, same_scene, thumbnail


def test_a_thumbnail_is_coarse_and_grey():
    x = torch.zeros(1, 3, 360, 640)
    x[:, 0, :, 320:] = 0.9
    small = thumbnail(x)
    assert small.shape == blank_thumbnail(torch.device("cpu")).shape == (1, 18, 32)
    assert small[0, :, 0].tolist() == [0.0] * 18
    assert small[0, :, -1].tolist() == pytest.approx([0.3] * 18)


@pytest.mark.parametrize(("change", "same"), [(0.0, True), (0.19, True), (0.21, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_cut_is_a_change_of_a_fifth(change, same, sign):
    before = torch.full((1, 18, 32), 0.5)
    answer = same_scene(before, before + sign * change)
    assert answer.shape == () and bool(answer) is same
