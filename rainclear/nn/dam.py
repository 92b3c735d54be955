"""DAM, the Dual Attention Model: takes out one type of rain (Sections 3.1-3.3).

The paper leaves some choices open. Taken here:

- Table 1 to 3 and Section 4.1 together: every convolution but a structure's last is followed by
  a LeakyReLU.
- D_heavy and D_light hold a ConvLSTM after their first convolution, and D_global takes their
  *features*, summed, rather than their pictures: the reading that gives Table 6's parameter count.
- The networks give the picture itself, not a residual, and do not clamp it.
- One forward pass is one LSTM step from a zero state.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rainclear.nn.blocks import LEAK, ConvLSTM, ResBlock, conv3x3, init_gaussian
from rainclear.nn.output import Branch, Derained, Stage

Rain = Literal["streaks", "drops"]
AttentionMode = Literal["zero", "odd", "dual"]

WIDTH = 32
"""The encoder's channels in the paper; the decoders have twice as many."""


class Encoder(nn.Module):
    """E: one convolution, three residual blocks, one ConvLSTM (Table 1).

    Args:
        channels: Channels throughout; 32 in the paper.
    """

    def __init__(self, channels: int = WIDTH) -> None:
        super().__init__()
        self.head = conv3x3(3, channels)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(3)))
        self.memory = ConvLSTM(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map the picture, N×3×H×W, to the features F, N×channels×H×W in (-1, 1)."""
        features = self.blocks(F.leaky_relu(self.head(x), LEAK))
        hidden, _ = self.memory(features)
        return hidden


class Attention(nn.Module):
    """S⁺ and S⁻, the pair of intensity-aware maps (Eq. 1, 2).

    Args:
        channels: Channels of F.
    """

    def __init__(self, channels: int = WIDTH) -> None:
        super().__init__()
        self.conv = conv3x3(channels, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map F, N×channels×H×W, to (S⁺, S⁻), each N×1×H×W in [0, 1], whose sum is 1."""
        heavy = torch.sigmoid(self.conv(features))
        return heavy, 1 - heavy


class Decoder(nn.Module):
    """D_heavy or D_light: a convolution, a ConvLSTM, five residual blocks, a convolution (Table 2).

    The features are twice as wide as the encoder's throughout: 64 channels in the paper.

    Args:
        width: The encoder's channels.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        channels = 2 * width
        self.head = conv3x3(width + 3, channels)
        self.memory = ConvLSTM(channels, channels)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(5)))
        self.tail = conv3x3(channels, 3)

    def forward(self, attended: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Restore the picture from attended features (Eq. 6, 7).

        Args:
            attended: F⁺att or F⁻att, N×width×H×W.
            x: The rainy picture I_i, N×3×H×W.

        Returns:
            The picture, N×3×H×W, and the features it was made from, N×(2·width)×H×W.
        """
        features = F.leaky_relu(self.head(torch.cat((attended, x), dim=1)), LEAK)
        hidden, _ = self.memory(features)
        features = self.blocks(hidden)
        return self.tail(features), features


class GlobalDecoder(nn.Module):
    """D_global: a convolution, two residual blocks, a convolution (Table 3, Eq. 8).

    Args:
        channels_in: Channels of the features to fuse: 64 inside a DAM, 128 for two DAMs.
        width: The encoder's channels; this decoder has twice as many.
    """

    def __init__(self, channels_in: int, width: int = WIDTH) -> None:
        super().__init__()
        channels = 2 * width
        self.head = conv3x3(channels_in + 3, channels)
        self.blocks = nn.Sequential(*(ResBlock(channels) for _ in range(2)))
        self.tail = conv3x3(channels, 3)

    def forward(self, features: Tensor, x: Tensor) -> Tensor:
        """Fuse features, N×channels_in×H×W, and the picture, N×3×H×W, to a picture, N×3×H×W."""
        inner = F.leaky_relu(self.head(torch.cat((features, x), dim=1)), LEAK)
        return self.tail(self.blocks(inner))


class DAM(nn.Module):
    """The Dual Attention Model for one type of rain (Fig. 2). Stateless.

    The three attention modes are those of Table 7. All keep both decoders and all three
    restoration losses, and differ in what the decoders see alone, so that the ablation compares
    attention and not size (``zero`` lacks the 289 parameters of the attention convolution):

    ======== ============== ==============
    mode     D_heavy sees   D_light sees
    ======== ============== ==============
    ``zero`` F              F
    ``odd``  F ⊗ S⁺         F
    ``dual`` F ⊗ S⁺ (Eq. 3) F ⊗ S⁻ (Eq. 4)
    ======== ============== ==============

    Args:
        rain: The type of rain; decides under which name the branch is returned.
        attention: The mode. With ``zero`` the branch's attention map is constant 1, the weight
            that F really gets, so that the attention loss (Eq. 5) has no gradient.
        width: The encoder's channels; the decoders have twice as many. 32 in the paper, fewer for
            comparisons on small machines.
    """

    def __init__(
        self,
        rain: Rain = "streaks",
        *,
        attention: AttentionMode = "dual",
        width: int = WIDTH,
    ) -> None:
        super().__init__()
        if rain not in ("streaks", "drops"):
            raise ValueError(f"rain is {rain!r}; use 'streaks' or 'drops'")
        if attention not in ("zero", "odd", "dual"):
            raise ValueError(f"attention is {attention!r}; use 'zero', 'odd' or 'dual'")
        if width < 1:
            raise ValueError(f"width is {width}; use at least 1")
        self.rain = rain
        self.mode = attention
        self.encoder = Encoder(width)
        self.attention = None if attention == "zero" else Attention(width)
        self.heavy = Decoder(width)
        self.light = Decoder(width)
        self.fuse = GlobalDecoder(2 * width, width)
        init_gaussian(self)

    def restore(self, x: Tensor) -> tuple[Branch, Tensor]:
        """Run all but D_global.

        Args:
            x: The rainy picture I_i, N×3×H×W.

        Returns:
            The branch, its ``image`` being ``None``, and the sum of both decoders' features,
            N×(2·width)×H×W.
        """
        features = self.encoder(x)
        if self.attention is None:
            score = torch.ones_like(x[:, :1])
            attended_heavy = attended_light = features
        else:
            score, rest = self.attention(features)
            attended_heavy = features * score
            attended_light = features * rest if self.mode == "dual" else features
        heavy, features_heavy = self.heavy(attended_heavy, x)
        light, features_light = self.light(attended_light, x)
        return Branch(score, heavy, light, None), features_heavy + features_light

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Derained:
        """Take one type of rain out.

        Args:
            x: The rainy picture, N×3×H×W, RGB in [0, 1]; any size.
            state: Ignored; there for the networks' common signature.

        Returns:
            One stage with one branch. The picture is not clamped; ``state`` is ``None``.
        """
        branch, features = self.restore(x)
        image = self.fuse(features, x)
        branch = branch._replace(image=image)
        stage = Stage(
            image=image,
            streaks=branch if self.rain == "streaks" else None,
            drops=branch if self.rain == "drops" else None,
        )
        return Derained(image, None, (stage,))
