"""What the page says below the pictures: a few figures in large print."""

from html import escape

from rainclear.web.job import Result

__all__ = ["STYLE", "summary"]

STYLE = """
.figures { display: flex; flex-wrap: wrap; gap: 0.75rem; }
.figures div { flex: 1 1 9rem; padding: 0.7rem 1rem; border-radius: 8px;
  background: var(--background-fill-secondary); border: 1px solid var(--border-color-primary); }
.figures b { display: block; font-size: 1.35rem; line-height: 1.5; white-space: nowrap; }
.figures span { font-size: 0.85rem; opacity: 0.75; }
.figures em { display: block; flex-basis: 100%; font-size: 0.85rem; }
"""
"""CSS of the figures, in the colours of the page's theme."""


def summary(result: Result) -> str:
    """The figures of a run as HTML; text that came with the file is escaped."""
    count = len(result.scores)
    mean = sum(score for _, score in result.scores) / max(1, count)
    figures = [
        (f"{count}", "frame" if count == 1 else "frames"),
        (f"{mean:.2f}", "mean rain score"),
    ]
    if result.psnr is not None:
        rainy, derained = result.psnr
        figures.append(
            (
                f"{rainy:.1f} → {derained:.1f} dB",
                f"{derained - rainy:+.2f} dB against the clean file",
            )
        )
    found = [moment.objects for moment in result.moments if moment.objects is not None]
    if found:
        before, after = sum(o.before for o in found), sum(o.after for o in found)
        won, lost = sum(o.won for o in found), sum(o.lost for o in found)
        shown = f"the {len(found)} frames shown" if len(found) > 1 else "the frame"
        figures.append(
            (f"{before} → {after} objects", f"{won} won (green), {lost} lost (red) in {shown}")
        )
    boxes = [
        f"<div><b>{escape(big)}</b><span>{escape(small)}</span></div>" for big, small in figures
    ]
    notes = [f"<em>{escape(note)}</em>" for note in result.notes]
    return f'<div class="figures">{"".join(boxes + notes)}</div>'
