"""Two videos under one slider: an element of the page that plays rainy and derained in step."""

from html import escape
from pathlib import Path
from urllib.parse import quote

__all__ = ["HEAD", "STYLE", "player"]

_SCRIPT = """
class RainCompare extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    this.innerHTML = `
      <div class="stage">
        <video class="after"></video><video class="before"></video>
        <span class="left">before</span><span class="right">after</span>
        <div class="bar"><i></i></div>
        <input class="where" type="range" min="0" max="100" step="0.1" value="50"
               aria-label="Before and after">
      </div>
      <div class="controls">
        <button type="button" aria-label="Play or pause"></button>
        <input class="time" type="range" min="0" max="1" step="0.001" value="0" aria-label="Time">
        <output>0.0 s</output>
      </div>`;
    const find = (name) => this.querySelector(name);
    const [before, after] = [find(".before"), find(".after")];
    const [where, time, button] = [find(".where"), find(".time"), find("button")];
    for (const video of [before, after]) {
      video.muted = video.playsInline = video.loop = true;
      video.preload = "auto";
      video.src = this.getAttribute(video.className);
    }
    const show = () => {
      const end = after.duration || 1;
      time.value = after.currentTime / end;
      find("output").textContent = `${after.currentTime.toFixed(1)} of ${end.toFixed(1)} s`;
      button.textContent = after.paused ? "\\u25B6" : "\\u275A\\u275A";
    };
    const follow = () => {  // one of them leads, the other is put right where it drifts
      if (!this.isConnected) return;
      if (Math.abs(before.currentTime - after.currentTime) > 0.02 && !before.seeking)
        before.currentTime = after.currentTime;
      show();
      if (!after.paused) requestAnimationFrame(follow);
    };
    const play = () => Promise.all([before.play(), after.play()]).then(follow, show);
    const pause = () => {
      before.pause(); after.pause(); before.currentTime = after.currentTime; show();
    };
    where.oninput = () => this.style.setProperty("--at", `${where.value}%`);
    time.oninput = () => {
      const to = time.value * after.duration;
      pause(); before.currentTime = after.currentTime = to; show();
    };
    button.onclick = () => after.paused ? play() : pause();
    after.onseeked = show;
    const ready = () => before.readyState > 2 && after.readyState > 2;
    const begin = () => {
      if (!ready() || this.dataset.ready) return;
      this.dataset.ready = "yes";
      matchMedia("(prefers-reduced-motion: reduce)").matches ? show() : play();
    };
    before.oncanplay = after.oncanplay = begin;
  }
  disconnectedCallback() {
    for (const video of this.querySelectorAll("video")) video.pause();
  }
}
customElements.define("rain-compare", RainCompare);
"""

HEAD = f"<script>{_SCRIPT}</script>"
"""What the page's head needs for :func:`player`."""

STYLE = """
#video .html-container, #said .html-container { padding: 0; }
rain-compare { --at: 50%; display: block; }
rain-compare .stage { position: relative; overflow: hidden; border-radius: 8px; line-height: 0;
  margin: 0 auto; background: #000; aspect-ratio: var(--width) / var(--height);
  max-width: calc(560px * var(--width) / var(--height)); }
rain-compare video { position: absolute; inset: 0; width: 100%; height: 100%; }
rain-compare .before { clip-path: inset(0 calc(100% - var(--at)) 0 0); }
rain-compare .stage span { position: absolute; top: 0.75rem; padding: 0.25rem 0.6rem;
  border-radius: 99px; background: #000a; color: #fff; font-size: 0.8rem; line-height: 1.2; }
rain-compare .left { left: 0.75rem; }
rain-compare .right { right: 0.75rem; }
rain-compare .bar { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 4px #0008; }
rain-compare .bar i { position: absolute; top: 50%; left: 50%; width: 2.2rem; height: 2.2rem;
  transform: translate(-50%, -50%); border-radius: 50%; background: #fff;
  box-shadow: 0 1px 6px #0006; }
rain-compare .bar i::after { content: "\\2039\\2009\\203A"; position: absolute; inset: 0;
  font: bold 1.3rem/2rem system-ui, sans-serif; color: #333; text-align: center; }
rain-compare .where { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0;
  opacity: 0; cursor: ew-resize; }
rain-compare .where:focus-visible { opacity: 0.15; }
rain-compare .controls { display: flex; align-items: center; gap: 0.75rem; margin-top: 0.6rem; }
rain-compare .controls button { width: 2.4rem; height: 2.4rem; border-radius: 50%; color: #fff;
  background: var(--color-accent); font-size: 0.85rem; line-height: 1; cursor: pointer; }
rain-compare .time { flex: 1; accent-color: var(--color-accent); }
rain-compare output { min-width: 7rem; font-size: 0.9rem; opacity: 0.75; text-align: right;
  font-variant-numeric: tabular-nums; }
"""
"""CSS of the element, in the colours of the page's theme."""


def player(before: Path, after: Path, size: tuple[int, int]) -> str:
    """HTML that plays two videos of one size under a slider.

    Args:
        before: Video on the left, a file that the page's server hands out.
        after: Video on the right.
        size: Width and height of both in pixels.
    """
    # Relative, so that it also holds behind a proxy that gives the page a path of its own.
    left, right = (escape(f"gradio_api/file={quote(str(path))}") for path in (before, after))
    style = f"--width: {size[0]}; --height: {size[1]}"
    return f'<rain-compare style="{style}" before="{left}" after="{right}"></rain-compare>'
