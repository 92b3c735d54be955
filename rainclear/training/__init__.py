"""Training: losses of the paper by name, the loop, checkpoints."""
