"""The output of a long job, made of its segments."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from rainclear.runtime.job_files import PACKETS, TABLE, file_name
from rainclear.runtime.job_list import Done
from rainclear.runtime.outputs import open_output
from rainclear.runtime.segment_job import SegmentJob
from rainclear.runtime.segment_table import packets_in
from rainclear.video import VideoWriter
from rainclear.video.part import Cut
from rainclear.video.segment import encoded_packets

__all__ = ["join_segments"]


def join_segments(
    job: SegmentJob,
    segments: Iterable[Done],
    folder: Path,
    *,
    cut: Cut | None = None,
) -> VideoWriter:
    """Make the output of its segments without encoding anew, with sound, subtitles and the like.

    Args:
        job: The job.
        segments: All of them, in order.
        folder: Where their files are.
        cut: Where the part lies in the source, if it is one.

    Returns:
        The writer, closed, for its notes.

    Raises:
        OutputError: The output exists or cannot be written, the disk is full, or the segments were
            made by another encoder. The segments are left as they are.
    """
    segments = tuple(segments)
    tables = [
        (
            folder / file_name(done.number, PACKETS),
            packets_in(folder / file_name(done.number, TABLE)),
        )
        for done in segments
    ]
    with open_output(job.output, job.info, job.options, threads=job.threads, cut=cut) as writer:
        writer.write_encoded(
            encoded_packets(tables, time_base=job.info.time_base),
            extradata=tables[0][1].extradata if tables else b"",
            shift=Fraction(segments[0].shift) if segments else Fraction(0),
        )
    return writer
