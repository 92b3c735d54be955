"""Every error that rainclear raises on purpose, in one tree.

Each message says what was wrong, with which file or value, and what to do about it. The command
line prints the message alone (no traceback) and exits with the error's ``exit_code``.
"""

__all__ = [
    "ConfigError",
    "DeviceError",
    "InputError",
    "ModelError",
    "OutputError",
    "RainclearError",
    "StageError",
]


class RainclearError(Exception):
    """Base of all errors that rainclear raises on purpose."""

    exit_code = 1


class InputError(RainclearError):
    """A file that was given cannot be read: missing, not a video or picture, empty, broken."""


class OutputError(RainclearError):
    """A result cannot be written: it exists, the folder is not writable, the disk is full."""


class ModelError(RainclearError):
    """A model is unknown, or its files are missing, altered or do not fit the network."""


class DeviceError(RainclearError):
    """A device or precision was asked for that this machine does not have."""


class ConfigError(RainclearError):
    """A setting or recipe has an unknown key or a value out of range."""


class StageError(RainclearError):
    """A stage of a pipeline did not answer in time or ended without saying why."""
