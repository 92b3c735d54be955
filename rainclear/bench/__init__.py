"""How fast models are on this machine, and against a reference network measured in the same run."""
