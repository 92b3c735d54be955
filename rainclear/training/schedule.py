"""How the learning rate goes over a run."""

import math

from rainclear.config import OptimRecipe

__all__ = ["learning_rate"]


def learning_rate(step: int, recipe: OptimRecipe) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``final_lr``."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    share = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.final_lr + 0.5 * (recipe.lr - recipe.final_lr) * (1 + math.cos(math.pi * share))
