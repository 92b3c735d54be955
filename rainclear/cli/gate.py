"""What ``--gate``, ``--no-gate`` and ``--gate-settings`` mean together."""

from pathlib import Path
from typing import TYPE_CHECKING

from rainclear.cli.view import show_note
from rainclear.errors import ConfigError

if TYPE_CHECKING:
    from rainclear.runtime.gate import GateChoice

__all__ = ["gate_choice"]


def gate_choice(model: str, gate: bool | None, settings: Path | None) -> "GateChoice":
    """The gate that the options of a command ask for; a note says when a model's own is stale."""
    from rainclear.runtime.gate import find_gate, read_gate
    from rainclear.zoo import find_model

    if settings is not None:
        if gate is False:
            raise ConfigError("--no-gate and --gate-settings contradict each other")
        return read_gate(settings)
    if gate is None:
        folder = find_model(model)
        if folder.spec.gate is not None and find_gate(folder, None) is None:
            show_note(
                f"the rain gate of {folder.spec.name} was calibrated with other weights and is "
                "left out; every frame is derained"
            )
    return gate
