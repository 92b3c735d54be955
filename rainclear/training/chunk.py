"""What one gradient goes back through: a few frames of every clip, from pictures to the loss."""

import torch
from torch import Tensor, nn

from rainclear.config import TrainingRecipe
from rainclear.nn.output import Derained
from rainclear.training.detector_loss import DetectorLoss, load_detector_loss
from rainclear.training.distill import Teacher, state_length
from rainclear.training.losses import derained_losses, image_loss, temporal_loss, total

__all__ = ["Chunk", "State"]

State = tuple[Tensor, ...] | None
_PICTURES = ("rainy", "clean", "streaks", "drops")


class Chunk(nn.Module):
    """A network together with its losses, so that DDP sees one forward pass a step.

    Args:
        network: The network, in training form.
        recipe: Losses and number format.
        teacher: What it learns from by ``losses.distill``; the recipe's by default.
        detector: Distance of features for ``losses.detector``; the recipe's by default.

    Raises:
        ModelError: The recipe's teacher or detector cannot be loaded.
    """

    def __init__(
        self,
        network: nn.Module,
        recipe: TrainingRecipe,
        *,
        teacher: Teacher | None = None,
        detector: DetectorLoss | None = None,
    ) -> None:
        super().__init__()
        self.network, self.recipe = network, recipe
        if teacher is None and recipe.losses.distill and recipe.distill_from:
            teacher = Teacher.load(recipe.distill_from)
        if detector is None and recipe.losses.detector and recipe.detector:
            detector = load_detector_loss(recipe.detector)
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        for frozen in (teacher, detector):
            if frozen is not None:
                frozen.to(memory_format=layout)
        self.teacher, self.detector = teacher, detector
        self._carries = state_length(network)

    def forward(
        self, batch: dict[str, Tensor], state: State
    ) -> tuple[Tensor, dict[str, Tensor], State]:
        """Run T frames and compare them with the truth.

        Args:
            batch: ``rainy``, ``clean`` (N×T×3×H×W), ``streaks``, ``drops`` (N×T×1×H×W), uint8.
            state: The network's state after the frame before and, behind it, the teacher's; or
                ``None``.

        Returns:
            The loss, its terms by name (detached; means over the frames), and the detached state.
        """
        recipe = self.recipe
        layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
        pictures = {k: batch[k].float().div_(255.0) for k in _PICTURES}
        length = batch["rainy"].shape[1]
        loss = batch["rainy"].new_zeros((), dtype=torch.float32)
        terms: dict[str, Tensor] = {}
        own, taught = self._split(state)
        before: tuple[Tensor, Tensor] | None = None  # the frame before, derained and clean
        for t in range(length):
            rainy, clean, streaks, drops = (
                pictures[k][:, t].contiguous(memory_format=layout) for k in _PICTURES
            )
            with torch.autocast(
                rainy.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"
            ):
                out: Derained = self.network(rainy, own)
                picture, taught = self._teach(t, rainy, clean, taught)
                if self.detector is not None:
                    distance = self.detector(out.image, clean)
            own = out.state
            losses = derained_losses(out, clean, streaks, drops, recipe.losses, rainy=rainy)
            if recipe.losses.temporal and before is not None:
                losses["temporal"] = recipe.losses.temporal * temporal_loss(
                    (before[0], out.image), (before[1], clean)
                )
            before = out.image, clean
            if picture is not None:
                kind, floor = recipe.losses.image, recipe.losses.floor
                distill = image_loss(kind, out.image, picture, floor=floor)
                losses["distill"] = recipe.losses.distill * distill * recipe.distill_every
            if self.detector is not None:
                losses["detector"] = recipe.losses.detector * distance
            loss = loss + total(losses) / length
            for name, value in losses.items():
                part = value.detach().float() / length
                terms[name] = terms[name] + part if name in terms else part
        carried = (*(own or ()), *taught)
        return loss, terms, tuple(s.detach() for s in carried) or None

    def _teach(
        self, t: int, rainy: Tensor, clean: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor | None, tuple[Tensor, ...]]:
        """The teacher's picture of frame ``t`` of a chunk, if it looks at it, and its new state."""
        every = self.recipe.distill_every
        if self.teacher is None or (t + 1) % every:
            return None, state
        return self.teacher(rainy, state) if every == 1 else (self.teacher.alone(rainy, clean), ())

    def _split(self, state: State) -> tuple[State, tuple[Tensor, ...]]:
        """The network's part of a state and the teacher's, which begins anew if it is not there."""
        if state is None:
            return None, ()
        own, taught = state[: self._carries], state[self._carries :]
        fits = self.teacher is not None and len(taught) == self.teacher.carries
        return own or None, taught if fits else ()
