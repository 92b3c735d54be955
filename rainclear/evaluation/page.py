"""What every report looks like: one HTML page that needs no other file and no network."""

import base64
from collections.abc import Mapping
from html import escape

__all__ = ["card", "page"]


def page(title: str, parts: list[str], *, style: str = "") -> str:
    """A whole page; empty parts are left out, and ``style`` is added to that of all reports."""
    body = "\n".join(part for part in parts if part)
    return _PAGE.format(title=escape(title), style=_STYLE + style, body=body)


def card(
    name: str,
    note: str,
    pictures: Mapping[str, bytes],
    *,
    captions: Mapping[str, str] | None = None,
) -> str:
    """Pictures of one scene side by side.

    Args:
        name: Of the scene, as plain text.
        note: HTML beside the name.
        pictures: JPEGs by name.
        captions: HTML after a picture's name.
    """
    figures = "".join(
        f'<figure><img loading="lazy" alt="{escape(what)}: {escape(name)}" '
        f'src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}">'
        f"<figcaption>{escape(what)}{(captions or {}).get(what, '')}</figcaption></figure>"
        for what, jpeg in pictures.items()
    )
    return (
        f'<section class="card"><h3>{escape(name)}{note}</h3><div class="row">{figures}</div>'
        "</section>"
    )


_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} – rainclear</title>
<style>{style}</style></head>
<body><main>
{body}
</main></body></html>
"""

_STYLE = """
:root { color-scheme: light dark; --bg: #fbfcfd; --card: #fff; --ink: #17202b; --soft: #5d6b7b;
  --line: #dfe5eb; --won: #0b7d4f; --lost: #bd3030 }
@media (prefers-color-scheme: dark) { :root { --bg: #10151b; --card: #182029; --ink: #e7edf3;
  --soft: #94a3b3; --line: #2b3642; --won: #4cc38a; --lost: #f07878 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
main { max-width: 1180px; margin: 0 auto; padding: 40px 24px 64px }
h1 { font-size: 30px; letter-spacing: -.02em; margin: 0 0 6px }
h2 { font-size: 20px; letter-spacing: -.01em; margin: 44px 0 8px }
h3 { font-size: 14px; font-weight: 600; margin: 0 0 10px; overflow-wrap: anywhere }
h3 small { margin-left: 12px }
p { color: var(--soft); margin: 0 0 12px; max-width: 78ch; overflow-wrap: anywhere }
small { color: var(--soft); font-size: 12px; font-weight: 400 }
small.won { color: var(--won) } small.lost { color: var(--lost) }
.legend { display: flex; flex-wrap: wrap; gap: 6px 20px; margin: 22px 0 10px; color: var(--ink) }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 50%;
  margin-right: 7px }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: 11px 18px; text-align: right; white-space: nowrap }
th:first-child { text-align: left } th { font-weight: 600 }
thead th { font-size: 13px; vertical-align: bottom }
thead small { display: block }
tbody tr { border-top: 1px solid var(--line) }
td small { display: inline-block; min-width: 62px; margin-left: 6px }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr));
  gap: 16px }
figure { margin: 0 } figcaption { font-size: 13px; margin: 0 0 8px; font-weight: 600 }
.charts figure, .card { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 16px 18px }
.card { margin: 0 0 16px }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr));
  gap: 10px }
.row figcaption { margin: 6px 0 0; font-weight: 500 }
.row img { display: block; width: 100%; border-radius: 6px }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif }
.grid { stroke: var(--line) } .gain { stroke: var(--soft); stroke-width: 2; opacity: .55 }
.tick { fill: var(--soft) } .label { fill: var(--ink); font-weight: 600 }
circle { stroke: var(--card); stroke-width: 1.5 }
footer { margin-top: 44px; border-top: 1px solid var(--line); padding-top: 14px; font-size: 13px }
"""
