"""DAiAM, the Dual Attention-in-Attention Model: streaks and drops at once (Section 3.4)."""

import torch
from torch import Tensor, nn

from rainclear.nn.blocks import init_gaussian
from rainclear.nn.dam import DAM, WIDTH, GlobalDecoder
from rainclear.nn.output import Branch, Derained, Stage


class DAiAM(nn.Module):
    """Two DAMs side by side, their features fused by one more D_global (Fig. 5). Stateless.

    The outer attention tells streaks from drops, the inner one heavy rain from light. Each DAM
    keeps its own D_global, which serves its own loss (Eq. 10) and not the result, so it runs in
    training mode alone: in evaluation mode the branches' ``image`` is ``None``.

    Args:
        width: The encoders' channels; 32 in the paper.

    Attributes:
        details: Run each DAM's own D_global in evaluation mode too. The result stays the same.
    """

    def __init__(self, *, width: int = WIDTH) -> None:
        super().__init__()
        self.streaks = DAM("streaks", width=width)
        self.drops = DAM("drops", width=width)
        self.fuse = GlobalDecoder(4 * width, width)
        self.details = False
        init_gaussian(self.fuse)

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Take streaks and drops out.

        Args:
            x: The rainy picture, N×3×H×W, RGB in [0, 1]; any size.
            state: Ignored; there for the networks' common signature.

        Returns:
            One stage with both branches. The picture is not clamped; ``state`` is ``None``.
        """
        streaks, features_streaks = self._branch(self.streaks, x)
        drops, features_drops = self._branch(self.drops, x)
        image = self.fuse(torch.cat((features_streaks, features_drops), dim=1), x)
        return Derained(image, None, (Stage(image, streaks, drops),))

    def _branch(self, dam: DAM, x: Tensor) -> tuple[Branch, Tensor]:
        branch, features = dam.restore(x)
        if self.training or self.details:
            branch = branch._replace(image=dam.fuse(features, x))
        return branch, features


class StackedDAiAM(nn.Module):
    """DAiAM-DAiAM: one DAiAM after the other, nothing between (Table 7's ablation). Stateless.

    Args:
        stages: Number of DAiAMs, at least 1; the paper's ablation has two.
        width: The encoders' channels; 32 in the paper.
    """

    def __init__(self, stages: int = 2, *, width: int = WIDTH) -> None:
        super().__init__()
        if stages < 1:
            raise ValueError(f"stages is {stages}; use at least 1")
        self.stages = nn.ModuleList(DAiAM(width=width) for _ in range(stages))

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Take the rain out stage by stage; each stage sees the one before's picture alone.

        Args:
            x: The rainy picture, N×3×H×W, RGB in [0, 1]; any size.
            state: Ignored; there for the networks' common signature.

        Returns:
            All stages. The pictures are not clamped; ``state`` is ``None``.
        """
        done: list[Stage] = []
        for network in self.stages:
            result: Derained = network(x)
            done.extend(result.stages)
            x = result.image
        return Derained(x, None, tuple(done))
