"""Pictures to blocks of pixels and back, on the CPU: runs of whole rows of a block are copied."""

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["from_blocks", "to_blocks"]


def to_blocks(picture: Tensor, out: Tensor, block: int) -> None:
    """Cut N×H×W×C into blocks, N×H/b×W/b×b²·C in the order row, column, channel.

    Both contiguous and of one type.
    """
    n, height, width, channels = picture.shape
    h, w = height // block, width // block
    rows = _runs(picture, block * channels).reshape(n, h, block, w)
    blocks = _runs(out, block * channels).reshape(n, h, w, block)
    for row in range(block):  # one at a time, so that what is read lies in a row
        blocks[..., row] = rows[:, :, row]


def from_blocks(blocks: Tensor, out: Tensor, block: int) -> None:
    """The inverse of :func:`to_blocks`."""
    n, height, width, channels = out.shape
    h, w = height // block, width // block
    runs = _runs(blocks, block * channels).reshape(n, h, w, block)
    rows = _runs(out, block * channels).reshape(n, h, block, w)
    for row in range(block):
        rows[:, :, row] = runs[..., row]


def _runs(tensor: Tensor, length: int) -> npt.NDArray[np.void]:
    """All values in a row, ``length`` of them as one item, in the tensor's own memory."""
    flat = tensor.detach().view(-1).numpy()
    return flat.view(np.dtype((np.void, length * flat.itemsize)))
