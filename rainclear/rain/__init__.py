"""Rain synthesis: streaks, drops on the glass, the veil of far rain; coherent over a clip."""
