"""What one gradient goes back through: a few frames of every clip, from pictures to the loss."""

import torch
from torch import Tensor, nn

from rainclear.config import TrainingRecipe
from rainclear.nn.output import Derained
from rainclear.training.losses import derained_losses, total

__all__ = ["Chunk", "State"]

State = tuple[Tensor, ...] | None
_PICTURES = ("rainy", "clean", "streaks", "drops")


class Chunk(nn.Module):
    """A network together with its losses, so that DDP sees one forward pass a step.

    Args:
        network: The network, in training form.
        recipe: Losses and number format.
    """

    def __init__(self, network: nn.Module, recipe: TrainingRecipe) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe

    def forward(
        self, batch: dict[str, Tensor], state: State
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Run T frames and compare them with the truth.

        Args:
            batch: ``rainy``, ``clean`` (N×T×3×H×W), ``streaks``, ``drops`` (N×T×1×H×W), uint8.
            state: The network's state after the frame before, or ``None``.

        Returns:
            The loss, its terms by name (detached; means over the frames), and the detached state.
        """
        recipe = self.recipe
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        pictures = {k: batch[k].float().div_(255.0) for k in _PICTURES}
        length = batch["rainy"].shape[1]
        loss = batch["rainy"].new_zeros((), dtype=torch.float32)
        terms: dict[str, Tensor] = {}
        for t in range(length):
            rainy, clean, streaks, drops = (
                pictures[k][:, t].contiguous(memory_format=layout) for k in _PICTURES
            )
            with torch.autocast(
                rainy.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
            ):
                out: Derained = self.network(rainy, state)
            state = out.state
            losses = derained_losses(out, clean, streaks, drops, recipe.losses, rainy=rainy)
            loss = loss + total(losses) / length
            for name, value in losses.items():
                part = value.detach().float() / length
                terms[name] = terms[name] + part if name in terms else part
        return loss, terms, tuple(s.detach() for s in state) if state is not None else None
