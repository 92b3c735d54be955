"""Pipelines that ship with rainclear, as YAML: data and not code."""
