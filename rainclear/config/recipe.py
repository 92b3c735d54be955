"""What a training run needs, besides the data folder and the network."""

from typing import Literal, Self

from pydantic import Field, model_validator

from rainclear.config.settings import Settings

__all__ = [
    "DataRecipe",
    "DetectorRecipe",
    "DualPixelRecipe",
    "LossRecipe",
    "OptimRecipe",
    "TrainingRecipe",
    "UnveilRecipe",
]


class DataRecipe(Settings):
    """What training sees: clean clips and pictures below a data folder, rained on as they are read.

    Attributes:
        include: Glob patterns of videos and pictures, relative to the data folder.
        validation: Glob patterns of the videos held out for validation.
        frames: Frames of a training clip; the state is carried from one to the next.
        backprop: Frames that one gradient goes back through; over the rest the state is carried.
        crop: Height and width of the crops in pixels.
        margin: Pixels rained on around a crop, so that drops show what lies outside it.
        batch: Clips in a batch, over all devices together.
        dry: Share of clips without any rain.
        weather: Share of the rainy clips whose rain is one shower seen from a vehicle, around the
            presets; the others take anything (:mod:`rainclear.rain.mixture`).
        dead_leaves: Share of clips over procedural pictures (occluding discs of all sizes).
        joint_mask: Streaks and drops have one mask, that of all rain, |rainy − clean|: for networks
            with one branch, which must find both. Otherwise each has its own.
        max_frames: Frames kept of each video.
        workers: Processes that make clips.
    """

    include: tuple[str, ...] = Field(min_length=1)
    validation: tuple[str, ...] = Field(min_length=1)
    frames: int = Field(8, ge=1)
    backprop: int = Field(4, ge=1)
    crop: int = Field(112, ge=32, multiple_of=8)
    margin: int = Field(16, ge=0)
    batch: int = Field(4, ge=1)
    dry: float = Field(0.1, ge=0, le=1)
    weather: float = Field(0.45, ge=0, le=1)
    dead_leaves: float = Field(0.2, ge=0, le=1)
    joint_mask: bool = False
    max_frames: int = Field(240, ge=1)
    workers: int = Field(2, ge=0)


class LossRecipe(Settings):
    """Weights of the loss terms; see :mod:`rainclear.training.losses` for the equations.

    Attributes:
        image: Distance of two pictures; ``psnr`` weighs pictures by what is left to gain in them,
            so that drops and dry frames count beside a heavy veil.
        floor: Mean squared error below which the gains of ``psnr`` count less.
        final: Weight of the last stage's picture.
        stages: Weight of the earlier stages' pictures.
        attention: α of Eq. 10.
        attention_balance: Extra weight of a pixel of full rain in L_att, 0 in the paper. Where few
            pixels are wet, the plain mean is least for a map that is zero everywhere.
        heavy: β₁ of Eq. 10.
        light: β₂ of Eq. 10.
        keep: Weight of the absolute error where there is no rain, 0 in the paper. The squared error
            alone takes small changes of dry pixels for nothing; an absolute error everywhere, on
            the other hand, trains towards "change nothing", the median of sparse rain.
        temporal: Weight of the temporal error, mean |Δoutput − Δclean| from each frame of a chunk
            to the next, 0 in the paper: flicker.
        distill: Weight of the distance to the picture of the teacher, ``training.distill_from``;
            the kind of distance is ``image``.
        detector: Weight of the distance to the clean picture's features in the detector,
            ``training.detector``.
    """

    image: Literal["mse", "psnr", "l1", "charbonnier"] = "mse"
    floor: float = Field(1e-3, gt=0)
    final: float = 1.0
    stages: float = 1.0
    attention: float = 0.8
    attention_balance: float = Field(0.0, ge=0)
    heavy: float = 1.0
    light: float = 0.3
    keep: float = Field(0.0, ge=0)
    temporal: float = Field(0.0, ge=0)
    distill: float = Field(0.0, ge=0)
    detector: float = Field(0.0, ge=0)


class OptimRecipe(Settings):
    """Adam with a cosine schedule, gradient clipping and an average of the weights (EMA).

    Attributes:
        steps: Steps in all; 0 leaves the weights as they are, where ``unveil`` has something to do.
        lr: Learning rate after the warm-up.
        final_lr: Learning rate at the last step.
        warmup: Steps over which the learning rate rises from zero.
        clip_norm: Longest gradient; longer ones are scaled down.
        ema: Share of the old average that a step keeps.
        accumulate: Parts in which each device goes through its share of a batch, to save memory;
            the step is the same.
        seed: Seed of weights and samples.
    """

    steps: int = Field(20000, ge=0)
    lr: float = Field(1e-4, gt=0)
    final_lr: float = Field(1e-6, gt=0)
    warmup: int = Field(200, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    accumulate: int = Field(1, ge=1)
    seed: int = 0


class DualPixelRecipe(Settings):
    """Training on the halves of dual pixels: masks alone first, then all, RAdam in steps.

    The defaults are the schedule of DPRRN, which had 500 epochs, in shares of the run. It starts
    from ``optim.lr``; the cosine, the warm-up of the rate and ``losses`` do not apply.

    Attributes:
        warmup: Share of the steps that train the masks alone.
        milestones: Shares of the run after which the rate falls.
        decay: What it is multiplied by then.
        mask: Weight of the binary cross-entropy on each mask.
        image: Weight of the negative SSIM of each of the four pictures.
    """

    warmup: float = Field(0.2, ge=0, lt=1)
    milestones: tuple[float, ...] = (0.44, 0.68, 0.92)
    decay: float = Field(0.2, gt=0, le=1)
    mask: float = Field(1.0, ge=0)
    image: float = Field(1.0, ge=0)


class DetectorRecipe(Settings):
    """The frozen detector whose features a derained picture shall share with the clean one.

    Attributes:
        weights: An ultralytics ``.pt``; a relative path is one from the working folder.
        layers: Numbers of the layers compared, as ultralytics counts them. In YOLO11 and YOLO26, 4
            and 6 are the backbone at an eighth and a sixteenth of the resolution, 10 is its end,
            and 16, 19 and 22 are what the head reads.
        scale: Size at which the detector sees the crops, over their own. A detector that is fed
            1280×720 at 640 pixels sees it at 0.5.
    """

    weights: str
    layers: tuple[int, ...] = Field((4, 6, 16), min_length=1)
    scale: float = Field(1.0, gt=0, le=1)


class UnveilRecipe(Settings):
    """Fitting of what finds the veil to whole frames, after the last step; all else is kept.

    See :mod:`rainclear.training.unveil`.

    Attributes:
        rounds: How often clips are collected and what was collected so far is fitted to; 0 leaves
            it out. What a network carries from frame to frame depends on the veil that it takes
            off, so a round collects with the weights that the one before found.
        clips: Clips of whole frames in a round.
        frames: Frames of the longer clips; the others have a third.
        steps: Steps of the fit of a round.
        lr: Highest learning rate of a fit.
    """

    rounds: int = Field(0, ge=0)
    clips: int = Field(400, ge=1)
    frames: int = Field(24, ge=1)
    steps: int = Field(3000, ge=1)
    lr: float = Field(4e-3, gt=0)

    @property
    def round_steps(self) -> int:
        """Steps that a round counts for in logs: one for each clip and each step of the fit."""
        return self.clips + self.steps


class TrainingRecipe(Settings):
    """Everything that a training run needs besides the data folder.

    Attributes:
        data: What training sees.
        losses: What it minimises.
        optim: How.
        init: How the weights begin: ``gaussian`` (σ = 0.01, the paper's) or ``kaiming``; the
            network's own way if not given.
        precision: Number format of the convolutions.
        channels_last: Lay pictures and weights out with the channels last, faster on most devices.
        validate_every: Steps between two validations, which also write a checkpoint.
        save_every: Steps between two checkpoints besides.
        keep_last: Checkpoints kept; the best by validation is kept anyway.
        pack: Write the finished weights in 8 bits a value, a quarter of the size; see
            :mod:`rainclear.runtime.packing`.
        log_every: Steps over which a line of the log and a point of the curves are the mean.
        start_from: Model, by name or folder, whose weights the network begins with.
        only: Parts that learn, by the beginnings of their parameters' names; all of them if empty.
        first_from: Model, by name or folder, whose weights the first network of a cascade
            (architecture option ``first``) has and keeps.
        distill_from: Model, by name or folder, that teaches by its pictures (``losses.distill``).
        distill_every: Frames from one that the teacher looks at to the next. From 2 on it sees each
            by itself, mirrored at random, and teaches where it improves the frame: the student
            learns what one frame tells, without what a teacher's state adds or spoils. It divides
            ``data.backprop``; the term is multiplied by it, so that its weight stays the same.
        detector: The detector of ``losses.detector``.
        dual_pixel: Makes it a training on dual-pixel halves.
        unveil: Fitting of the veil to whole frames, at the end.
    """

    data: DataRecipe
    losses: LossRecipe = LossRecipe()
    optim: OptimRecipe = OptimRecipe()
    init: Literal["gaussian", "kaiming"] | None = None
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    validate_every: int = Field(1000, ge=1)
    save_every: int = Field(200, ge=1)
    keep_last: int = Field(3, ge=1)
    pack: bool = False
    log_every: int = Field(10, ge=1)
    start_from: str | None = None
    only: tuple[str, ...] = ()
    first_from: str | None = None
    distill_from: str | None = None
    distill_every: int = Field(1, ge=1)
    detector: DetectorRecipe | None = None
    dual_pixel: DualPixelRecipe | None = None
    unveil: UnveilRecipe = UnveilRecipe()

    @property
    def steps(self) -> int:
        """Steps of the whole run as logs count them: those of ``optim``, then of ``unveil``."""
        return self.optim.steps + self.unveil.rounds * self.unveil.round_steps

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.losses.distill and self.distill_from is None:
            raise ValueError("losses.distill needs a teacher: set distill_from to a model")
        if self.losses.distill and self.data.backprop % self.distill_every:
            raise ValueError(
                f"distill_every={self.distill_every} must divide data.backprop="
                f"{self.data.backprop}: the frames are counted within each part of a clip"
            )
        if self.losses.detector and self.detector is None:
            raise ValueError("losses.detector needs a detector: set detector.weights to a .pt file")
        if self.dual_pixel is not None and self.unveil.rounds:
            raise ValueError("dual_pixel trains a network without a veil: leave unveil.rounds at 0")
        if not self.optim.steps and not self.unveil.rounds:
            raise ValueError("optim.steps=0 leaves nothing to do: set unveil.rounds, or give steps")
        return self
