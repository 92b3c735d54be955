"""D-DAM and D-DAiAM: the differential-driven heavy-to-light scheme (Section 3.5)."""

from collections.abc import Sequence

from torch import Tensor, nn

from rainclear.nn.blocks import LEAK, init_gaussian
from rainclear.nn.daiam import DAiAM
from rainclear.nn.dam import DAM, WIDTH, AttentionMode, Rain
from rainclear.nn.output import Derained, Differentials, Stage

BALANCE = 0.5
"""w of Eq. 14 (Section 4.1)."""


class FilterNet(nn.Module):
    """Three 2×2 convolutions that turn a difference picture into a soft map (Fig. 6).

    The paper gives the kernels alone. Taken here: widths 3→16→16→1, LeakyReLU between, sigmoid at
    the end; one map for all colours, since it marks regions. A 2×2 kernel cannot be centred, so
    the padding alternates (top left, bottom right, top left): that keeps the size and leaves the
    4×4 neighbourhood half a pixel off centre, instead of one and a half.

    Args:
        width: Channels inside.
    """

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(3, width, kernel_size=2),
            nn.LeakyReLU(LEAK),
            nn.ZeroPad2d((0, 1, 0, 1)),
            nn.Conv2d(width, width, kernel_size=2),
            nn.LeakyReLU(LEAK),
            nn.ZeroPad2d((1, 0, 1, 0)),
            nn.Conv2d(width, 1, kernel_size=2),
            nn.Sigmoid(),
        )

    def forward(self, difference: Tensor) -> Tensor:
        """Map a signed difference, N×3×H×W, to a soft map, N×1×H×W in [0, 1]."""
        return self.layers(difference)


class DifferentialModule(nn.Module):
    """Makes the next stage's input from what the last stage changed (Eq. 14).

    Args:
        balance: w, the weight of the original input.
    """

    def __init__(self, *, balance: float = BALANCE) -> None:
        super().__init__()
        self.balance = balance
        self.to_input = FilterNet()
        self.to_previous = FilterNet()
        init_gaussian(self)

    def forward(
        self, output: Tensor, source: Tensor, previous: Tensor
    ) -> tuple[Tensor, Differentials]:
        """Return I_f = I_o^t ⊗ A + w · I_i ⊗ B, and both maps.

        Args:
            output: I_o^t, this stage's picture, N×3×H×W.
            source: I_i, the rainy picture the network was given, N×3×H×W.
            previous: I_o^{t-1}, the picture of the stage before, N×3×H×W; after the first stage
                there is none, and ``source`` stands for it.

        Returns:
            I_f, N×3×H×W, and A = FilterNet(I_o^t - I_i), B = FilterNet(I_o^t - I_o^{t-1}).
        """
        maps = Differentials(self.to_input(output - source), self.to_previous(output - previous))
        return output * maps.to_input + self.balance * (source * maps.to_previous), maps


class HeavyToLight(nn.Module):
    """Networks in a row with a differential module between each two. Stateless.

    Every stage and every module has its own weights.

    Args:
        stages: Stateless networks, at least one.
        balance: w of Eq. 14.
    """

    def __init__(self, stages: Sequence[nn.Module], *, balance: float = BALANCE) -> None:
        super().__init__()
        if not stages:
            raise ValueError("there are no stages; give at least 1")
        self.stages = nn.ModuleList(stages)
        self.differentials = nn.ModuleList(
            DifferentialModule(balance=balance) for _ in range(len(stages) - 1)
        )

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Take the rain out stage by stage, heavy rain first.

        Args:
            x: The rainy picture I_i, N×3×H×W, RGB in [0, 1]; any size.
            state: Ignored; there for the networks' common signature.

        Returns:
            All stages. The pictures are not clamped; ``state`` is ``None``.
        """
        result: Derained = self.stages[0](x)
        done: list[Stage] = list(result.stages)
        previous = x
        for differential, network in zip(self.differentials, self.stages[1:], strict=True):
            output = result.image
            fused, maps = differential(output, x, previous)
            result = network(fused)
            first, *others = result.stages
            done += [first._replace(differentials=maps), *others]
            previous = output
        return Derained(result.image, None, tuple(done))


class DDAM(HeavyToLight):
    """D-DAM: the scheme over DAM, for one type of rain (Tables 4, 5).

    Args:
        rain: The type of rain.
        stages: Number of DAMs, at least 1.
        attention: Attention mode of every DAM.
        balance: w of Eq. 14.
        width: The encoders' channels; 32 in the paper.
    """

    def __init__(
        self,
        rain: Rain = "streaks",
        *,
        stages: int = 2,
        attention: AttentionMode = "dual",
        balance: float = BALANCE,
        width: int = WIDTH,
    ) -> None:
        dams = [DAM(rain, attention=attention, width=width) for _ in range(stages)]
        super().__init__(dams, balance=balance)


class DDAiAM(HeavyToLight):
    """D-DAiAM: DAiAM → differential module → DAiAM; ``stages=3`` is Table 7's D-DAiAM(3).

    Args:
        stages: Number of DAiAMs, at least 1.
        balance: w of Eq. 14.
        width: The encoders' channels; 32 in the paper.
    """

    def __init__(self, stages: int = 2, *, balance: float = BALANCE, width: int = WIDTH) -> None:
        daiams = [DAiAM(width=width) for _ in range(stages)]
        super().__init__(daiams, balance=balance)
