"""Pipelines from a source to sinks, described in YAML: derain, detect, track, write.

Example:
    >>> for frame, detections in rainclear.Pipeline("derain-detect", source=0):
    ...     print(frame.metadata["rain_score"], len(detections))
"""

from rainclear.pipeline.pipeline import Pipeline
from rainclear.pipeline.result import PipelineReport, Result, WonAndLost, won_and_lost
from rainclear.pipeline.spec import PipelineSpec, find_pipeline, list_pipelines
from rainclear.pipeline.track import TrackedDetections

__all__ = [
    "Pipeline",
    "PipelineReport",
    "PipelineSpec",
    "Result",
    "TrackedDetections",
    "WonAndLost",
    "find_pipeline",
    "list_pipelines",
    "won_and_lost",
]
