"""The benchmark as Markdown."""

from typing import Any

__all__ = ["table"]


def table(result: dict[str, Any]) -> str:
    """Markdown of what :func:`rainclear.bench.bench.run_bench` found, with its notes."""
    rows = {label: dict(of) for label, of in result["models"].items()}
    reference = {name.split("-")[0]: row for name, row in result["prenet"].items()}
    lines = [
        *_head(result),
        "",
        "| network | backend | ms | p95 | fps | × PReNet | GMAC/s | of ceiling | MiB |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        *(_time(label, name, row) for label, of in rows.items() for name, row in of.items()),
        *(_time("PReNet", name.split("-")[0], row) for name, row in result["prenet"].items()),
        "",
        "| network | parameters | GMAC a frame | PSNR gain |",
        "|---|--:|--:|--:|",
    ]
    for label, of in {**rows, "PReNet": reference}.items():
        for row in list(of.values())[:1]:
            quality = result["quality"].get(label)
            gain = "–" if quality is None else f"{quality['gain_db']:+.2f} dB"
            lines.append(f"| {label} | {row['parameters']:,} | {row['gmac']:.4g} | {gain} |")
    if result["end_to_end"] is not None:
        lines += ["", _end_to_end(result["end_to_end"])]
    if result["growth"] is not None:
        lines += ["", _growth(result["growth"])]
    scene = next((q["scene"] for q in result["quality"].values()), None)
    if scene is not None:
        lines += ["", f"PSNR gain: generated rain over {scene}."]
    notes = [*result["notes"], *(f"not run: {k}: {why}" for k, why in result["skipped"].items())]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    return "\n".join(lines) + "\n"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'s' * (number != 1)}"


def _head(result: dict[str, Any]) -> list[str]:
    width, height = result["size"]
    machine = result["machine"]
    cores, threads = _count(machine["cores"], "core"), _count(machine["threads"], "thread")
    where = f"{machine['processor']}, {cores}, {threads}"
    if result["device"].startswith("cuda"):
        where = ", ".join(machine["gpus"]) or result["device"]
    packages = ", ".join(f"{name} {v}" for name, v in machine["packages"].items() if v)
    ceilings = (f"{c['gmac_per_s']:.0f} in {name}" for name, c in result["ceiling"].items())
    return [
        f"{width}×{height}, batch 1, state carried. {where}. {packages}.",
        f"Ceiling (dense 3×3 convolutions), GMAC/s: {', '.join(ceilings)}.",
    ]


def _time(label: str, backend: str, row: dict[str, Any]) -> str:
    speedup = row.get("speedup_vs_prenet")
    memory = row["peak_gpu_memory_mb"] or row["peak_memory_mb"]
    precision = row["precision"]
    cells = (
        label,
        backend if backend.endswith(precision) else f"{backend} {precision}",
        f"{row['ms_median']:.1f}",
        f"{row['ms_p95']:.1f}",
        f"{row['fps']:.1f}",
        "–" if speedup is None else f"{speedup:.0f}",
        f"{row['gmac_per_s']:.0f}",
        f"{row['ceiling_share']:.0%}",
        "–" if memory is None else f"{memory:.0f}",
    )
    return f"| {' | '.join(cells)} |"


def _growth(growth: dict[str, Any]) -> str:
    first, *_, last = growth["pixels"]
    marks = growth["frames"]
    memory = [m["memory_mb"] for m in marks if m["memory_mb"] is not None]
    sizes = " to ".join("×".join(map(str, row["size"])) for row in (first, last))
    text = (
        f"Growth, {growth['model']} on {growth['backend']}, processor time: with pixels^"
        f"{growth['pixels_exponent']:.2f} from {sizes}, with frames^"
        f"{growth['frames_exponent']:.2f} from {marks[0]['frames']} to {marks[-1]['frames']:,}"
    )
    if memory:
        text += f"; memory {memory[0]:.0f} MiB at first, {memory[-1]:.0f} MiB at the end"
    return text + "."


def _end_to_end(whole: dict[str, Any]) -> str:
    share = ", ".join(f"{name} {value:.1%}" for name, value in whole["share"].items())
    memory = whole["peak_memory_mb"]
    peak = "" if memory is None else f", peak {memory:.0f} MiB"
    return (
        f"A file of {_count(whole['frames'], 'frame')}, H.264 in and out, {whole['model']} on "
        f"{whole['backend']}: {whole['fps']:.1f} fps, {whole['cpu_utilisation']:.0%} of "
        f"{_count(whole['cores'], 'core')} busy, wall time {whole['wall_over_ideal']:.2f} × the "
        "parts' processor time spread over the cores, "
        f"{whole['fps_without_encoding']:.1f} fps without encoding{peak}. "
        f"Processor time: {share}; the parts take {whole['parts_over_alone']:.2f} × what they take "
        "alone."
    )
