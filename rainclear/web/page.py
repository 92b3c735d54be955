"""The page itself, in Gradio: the only module that imports it."""

import os
from typing import Any

from rainclear.detection.detections import Detector
from rainclear.errors import ConfigError, RainclearError
from rainclear.video import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from rainclear.web import player as play
from rainclear.web.job import Limits, Result
from rainclear.web.store import Store
from rainclear.web.studio import AS_IT_IS, RAINS, Studio, models
from rainclear.web.summary import STYLE, summary

__all__ = ["build", "import_gradio", "launch_options", "serve"]

_FONTS = ["system-ui", "sans-serif"]
_MONO = ["ui-monospace", "monospace"]
_TITLE = "rainclear"
_INTRODUCTION = """# rainclear
Drop a driving video or picture and see it without the rain. **No rainy file at hand?** Choose a
rain: it falls on your clean file first, and is then taken off again. Nothing leaves this
machine."""
_SAMPLE_RAIN = "heavy"


def import_gradio() -> Any:
    """Gradio, told to send and fetch nothing before it is imported.

    Raises:
        ConfigError: The extra ``web`` is not installed.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_RUN_HISTORY"] = "False"  # else results stay in the browser, to be uploaded
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["DO_NOT_TRACK"] = "1"
    try:
        import gradio
    except ImportError as error:
        raise ConfigError(
            "rainclear serve needs Gradio; install it: pip install 'rainclear[web]'"
        ) from error
    return gradio


def build(studio: Studio, gradio: Any) -> Any:
    """The page as ``gradio.Blocks``; its queue is set up by the caller."""
    import pandas as pd

    def pair(result: Result, number: int) -> tuple[str, str]:
        moment = result.moments[min(number, len(result.moments)) - 1]
        return str(moment.before), str(moment.after)

    def derain(
        file: str | None,
        model: str,
        rain: str,
        detect: bool,
        progress: Any = gradio.Progress(),  # noqa: B008
    ) -> Any:
        try:
            result = studio.derain(file, model, rain, detect=detect, progress=progress)
        except RainclearError as error:
            raise gradio.Error(str(error), print_exception=False) from error
        count, middle = len(result.moments), len(result.moments) // 2 + 1
        curve = pd.DataFrame(list(result.scores), columns=["seconds", "rain score"])
        highest = max(score for _, score in result.scores)
        before, after = result.files
        shown = play.player(before, after, result.size) if result.size else ""
        # Single frames of a video are shown where they say more than the video: with objects.
        single = not shown or any(moment.objects is not None for moment in result.moments)
        return (
            result,
            gradio.HTML(shown, visible=bool(shown)),
            gradio.Slider(1, max(2, count), value=middle, step=1, visible=single and count > 1),
            gradio.ImageSlider(pair(result, middle), visible=single),
            gradio.HTML(summary(result), visible=True),
            gradio.LinePlot(curve, y_lim=[0, max(0.4, 1.2 * highest)], visible=count > 1),
            gradio.File([str(path) for path in result.files], visible=True),
        )

    def sample(rain: str) -> tuple[str, str]:
        return str(studio.sample()), _SAMPLE_RAIN if rain == AS_IT_IS else rain

    suffixes = sorted(IMAGE_SUFFIXES | VIDEO_SUFFIXES)
    with gradio.Blocks(title=_TITLE, analytics_enabled=False) as page:
        gradio.Markdown(_INTRODUCTION)
        state = gradio.State(time_to_live=3600)
        with gradio.Row():
            with gradio.Column(scale=1):
                file = gradio.File(label="Video or picture", file_types=suffixes, height=150)
                sampler = gradio.Button("Take a sample clip", size="sm")
                model = gradio.Dropdown(models(), value="d-daiam-rt", label="Model")
                rain = gradio.Dropdown(list(RAINS), value=AS_IT_IS, label="Rain to put on first")
                detect = gradio.Checkbox(
                    studio.detects, label="Look for objects", visible=studio.detects
                )
                button = gradio.Button("Take the rain off", variant="primary")
                files = gradio.File(
                    label="Results", interactive=False, file_count="multiple", visible=False
                )
            with gradio.Column(scale=3):
                video = gradio.HTML(visible=False, padding=False, elem_id="video")
                pictures = gradio.ImageSlider(
                    label="before | after",
                    type="filepath",
                    interactive=False,
                    max_height=560,
                    elem_id="pictures",
                )
                moment = gradio.Slider(
                    1,
                    2,
                    value=1,
                    step=1,
                    label="Frame of the video",
                    visible=False,
                    elem_id="moment",
                )
                said = gradio.HTML(visible=False, padding=False, elem_id="said")
                plot = gradio.LinePlot(
                    x="seconds",
                    y="rain score",
                    y_lim=[0, None],
                    height=190,
                    label="Rain score over time, in seconds",
                    elem_id="curve",
                    visible=False,
                )
        button.click(
            derain,
            [file, model, rain, detect],
            [state, video, moment, pictures, said, plot, files],
            show_progress_on=[video, pictures],
            api_name="derain",
        )
        sampler.click(sample, rain, [file, rain], api_visibility="private")
        moment.release(
            lambda result, number: pair(result, int(number)) if result else None,
            [state, moment],
            pictures,
            api_visibility="private",
            queue=False,
        )
    return page


def serve(
    *,
    host: str,
    port: int,
    limits: Limits,
    queue: int = 8,
    device: str = "auto",
    detector: Detector | None = None,
    block: bool = True,
) -> Any:
    """Show the page until interrupted; uploads and results are then removed.

    Args:
        host: Address to listen on.
        port: Port to listen on.
        limits: What one run may cost.
        queue: Runs that may wait; one runs at a time.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        detector: Looks for objects in the frames that are shown, before and after.
        block: Wait for Ctrl-C; else close again at once.

    Raises:
        ConfigError: The extra ``web`` is not installed, or the port is taken.
    """
    gradio = import_gradio()
    with Store() as store:
        os.environ["GRADIO_TEMP_DIR"] = str(store.path)
        studio = Studio(store.path, limits=limits, device=device, detector=detector)
        page = build(studio, gradio)
        page.queue(max_size=queue, default_concurrency_limit=1)
        try:
            page.launch(**launch_options(host, port, limits, gradio), prevent_thread_lock=not block)
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error}; give another --port"
            ) from error
        finally:
            page.close(verbose=False)


def launch_options(host: str, port: int, limits: Limits, gradio: Any) -> dict[str, Any]:
    """How the page is launched: nothing shared, nothing fetched, nothing about the machine told."""
    return {
        "server_name": host,
        "server_port": port,
        "share": False,
        "inbrowser": False,
        "quiet": True,
        "show_error": False,
        "enable_monitoring": False,
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
        "footer_links": [],
        "max_file_size": int(limits.megabytes * 1e6),
        "css": STYLE + play.STYLE,
        "head": play.HEAD,
        "theme": gradio.themes.Base(font=_FONTS, font_mono=_MONO),
    }
