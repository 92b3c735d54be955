"""What a network makes of a clip, picture by picture, for people to look at."""

import numpy as np
import torch
from torch import Tensor, nn

from rainclear.data.dual_pixel import water_mask
from rainclear.nn.dprrn import DPRRN
from rainclear.nn.output import Branch, Derained
from rainclear.training.progress import Picture

__all__ = ["explain", "explain_halves"]


def _picture(tensor: Tensor) -> Picture:
    """C×H×W in [0, 1], C = 1 or 3, as RGB."""
    array = tensor.float().clamp(0, 1).mul(255).round().byte().cpu().numpy()
    return np.ascontiguousarray(np.broadcast_to(array, (3, *array.shape[1:])).transpose(1, 2, 0))


def _branch(name: str, branch: Branch, mask: Tensor) -> dict[str, Picture]:
    heavy = branch.attention[0]
    views = {f"{name}: S⁺": heavy, f"{name}: S⁻": 1 - heavy, f"{name}: true mask": mask}
    for caption, image in (("heavy", branch.heavy), ("light", branch.light)):
        if image is not None:
            views[f"{name}: {caption}"] = image[0]
    return {caption: _picture(view) for caption, view in views.items()}


@torch.no_grad()
def explain(network: nn.Module, sample: dict[str, Tensor]) -> dict[str, Picture]:
    """The last frame of a clip as the network sees it.

    Args:
        network: In evaluation mode, on any device.
        sample: ``rainy``, ``clean`` (T×3×H×W), ``streaks``, ``drops`` (T×1×H×W), uint8.

    Returns:
        By caption: input, result, truth, and of each rain type S⁺, S⁻ (Eq. 1, 2), the true mask and
        the heavy and light pictures (Eq. 6, 7).
    """
    parameter = next(network.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    rainy, clean, streaks, drops = (
        sample[k].to(device).float() / 255 for k in ("rainy", "clean", "streaks", "drops")
    )
    # Networks may leave the heavy and light pictures out of inference. The flag of the outermost
    # module decides; layers below, such as normalisations, stay as they are in evaluation.
    training, network.training = network.training, True
    try:
        state: tuple[Tensor, ...] | None = None
        for t in range(len(rainy)):
            out: Derained = network(rainy[t : t + 1], state)
            state = out.state
    finally:
        network.training = training
    views = {
        "input": _picture(rainy[-1]),
        "result": _picture(out.image[0]),
        "truth": _picture(clean[-1]),
    }
    for name, branch, mask in (("streaks", out.streaks, streaks), ("drops", out.drops, drops)):
        if branch is not None:
            views |= _branch(name, branch, mask[-1])
    return views


@torch.no_grad()
def explain_halves(network: DPRRN, sample: dict[str, Tensor]) -> dict[str, Picture]:
    """Two halves as a network for dual pixels sees them.

    Args:
        network: In evaluation mode, on any device.
        sample: ``left``, ``right``, ``clean``, 3×H×W, uint8.

    Returns:
        By caption: of each half the picture, the mask that was found and the true one; the result
        and the truth. A network that is shown the halves' mean looks for both masks in each.
    """
    device = next(network.parameters()).device
    left, right, clean = (sample[k][None].to(device) for k in ("left", "right", "clean"))
    out = network.halves(left.float() / 255, right.float() / 255)
    masks = water_mask(left, clean), water_mask(right, clean)
    if network.single:
        masks = (masks[0] | masks[1],) * 2
    views: dict[str, Picture] = {}
    for name, half, logits, mask in (
        ("left", left, out.left_logits, masks[0]),
        ("right", right, out.right_logits, masks[1]),
    ):
        views[f"{name} half"] = _picture(half[0].float() / 255)
        views[f"{name} half: mask found"] = _picture(logits[0].sigmoid())
        views[f"{name} half: true mask"] = _picture(mask[0])
    return views | {"result": _picture(out.image[0]), "truth": _picture(clean[0].float() / 255)}
