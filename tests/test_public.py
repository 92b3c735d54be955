import subprocess
import sys

import pytest

import rainclear

HEAVY = ("torch", "cv2", "ultralytics", "av")


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names():
    assert rainclear.__all__ == [
        "ColorDescription",
        "Derainer",
        "Frame",
        "Pipeline",
        "RainclearError",
        "VideoCapture",
        "VideoReader",
        "VideoWriter",
        "__version__",
        "derain_picture",
        "derain_video",
        "list_models",
        "load_model",
    ]
    assert dir(rainclear) == sorted(rainclear.__all__)


@pytest.mark.parametrize("name", rainclear.__all__)
def test_every_public_name_loads_and_is_documented(name):
    value = getattr(rainclear, name)
    assert getattr(rainclear, name) is value
    if name != "__version__":
        assert value.__name__ == name and value.__doc__


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Rain'"):
        rainclear.Rain  # noqa: B018


def test_import_is_quick_and_loads_nothing_heavy():
    # Processor time, as other work on the machine must not fail this.
    code = (
        "import sys, time; t = time.process_time(); import rainclear; "
        "t = time.process_time() - t; "
        f"print([m for m in {HEAVY} if m in sys.modules], t < 0.3)"
    )
    assert python(code) == "[] True"


def test_shared_values_do_not_load_torch():
    code = (
        "import sys; from rainclear import Frame, ColorDescription, RainclearError, list_models; "
        "list_models(); print('torch' in sys.modules)"
    )
    assert python(code) == "False"


def test_video_does_not_load_torch():
    assert python("import sys, rainclear.video; print('torch' in sys.modules)") == "False"
