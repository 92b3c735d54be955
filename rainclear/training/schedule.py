"""How the learning rate goes over a run."""

import math

from rainclear.config import DualPixelRecipe, OptimRecipe

__all__ = ["learning_rate", "step_rate"]


def learning_rate(step: int, recipe: OptimRecipe) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``final_lr``."""
    if step < recipe.warmup:
        return recipe.lr * (step + 1) / recipe.warmup
    share = min(1.0, (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup))
    return recipe.final_lr + 0.5 * (recipe.lr - recipe.final_lr) * (1 + math.cos(math.pi * share))


def step_rate(step: int, optim: OptimRecipe, recipe: DualPixelRecipe) -> float:
    """Learning rate of a step on dual pixels: ``lr``, times ``decay`` after each milestone."""
    passed = sum(step >= share * optim.steps for share in recipe.milestones)
    return optim.lr * recipe.decay**passed
