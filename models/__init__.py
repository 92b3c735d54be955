"""Models that ship with rainclear: one folder each, data and not code."""
