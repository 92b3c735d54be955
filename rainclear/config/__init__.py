"""Settings as typed, nested objects: of models, and of their training."""

from rainclear.config.model import (
    ArchitectureSpec,
    BranchWeights,
    GateSpec,
    ModelSpec,
    WeightsSpec,
)
from rainclear.config.recipe import (
    DataRecipe,
    DetectorRecipe,
    DualPixelRecipe,
    LossRecipe,
    OptimRecipe,
    TrainingRecipe,
    UnveilRecipe,
)
from rainclear.config.settings import Settings, load_yaml, parse, with_overrides

__all__ = [
    "ArchitectureSpec",
    "BranchWeights",
    "DataRecipe",
    "DetectorRecipe",
    "DualPixelRecipe",
    "GateSpec",
    "LossRecipe",
    "ModelSpec",
    "OptimRecipe",
    "Settings",
    "TrainingRecipe",
    "UnveilRecipe",
    "WeightsSpec",
    "load_yaml",
    "parse",
    "with_overrides",
]
