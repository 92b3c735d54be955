"""Data sets: clean scenes, generated rain, and the clips that networks are trained on."""
