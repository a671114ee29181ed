"""The exception tree. Each error carries the exit code its process ends with.

    DistribError                      70  a bug of ours or of the user
    |-- ConfigError (ValueError)      64  an invalid argument, name or environment
    |-- DataError (ValueError)        65  data that cannot be trained on
    |   +-- ShapeError                65  ... because of its shape
    |-- NonFiniteError (ArithmeticError)  70  NaN or Inf in a gradient
    |-- StorageError                  74  a file cannot be written, or is damaged
    |-- PeerLostError                 75  another process died, left, or came too late; worth a restart
    |-- ProtocolError                 76  processes disagree on what they do together
    +-- AuthenticationError           77  a process does not have the run's token

Every message says what, who, what was expected, what was received and what to do about it.
"""

from __future__ import annotations


class DistribError(Exception):
    """Base of every error this library raises on purpose.

    Args:
        message: what went wrong.
        calls_differ: whether the processes made other calls than each other, such as `save` on one of them only.
        is_common: whether every process of the job raises it, with the same message.
    """

    exit_code = 70

    def __init__(self, message: str = "", *, calls_differ: bool = False, is_common: bool = False) -> None:
        super().__init__(message)
        self.calls_differ, self.is_common = calls_differ, is_common


class ConfigError(DistribError, ValueError):
    """An invalid argument, name or environment variable."""

    exit_code = 64


class DataError(DistribError, ValueError):
    """The data cannot be trained on: empty, labels out of range, lengths that differ."""

    exit_code = 65


class ShapeError(DataError):
    """An array has another shape than the one that was declared."""


class NonFiniteError(DistribError, ArithmeticError):
    """A gradient holds NaN or Inf."""


class StorageError(DistribError):
    """A file cannot be written, or is not what was written."""

    exit_code = 74


class PeerLostError(DistribError):
    """Another process of the job died, left, or did not come in time."""

    exit_code = 75


class ProtocolError(DistribError):
    """The processes of the job disagree on what they do together."""

    exit_code = 76


class AuthenticationError(DistribError):
    """A process does not have the run's token."""

    exit_code = 77


def exit_code_of(error: BaseException) -> int:
    """The exit code of a process that ends by `error`.

    That of its class for an error of ours, what the script has chosen for `SystemExit`, 130 for `KeyboardInterrupt`
    (as shells show SIGINT), and 70 for every other.
    """
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        return 1  # a message, as Python takes it
    if isinstance(error, KeyboardInterrupt):
        return 130
    return error.exit_code if isinstance(error, DistribError) else DistribError.exit_code
