"""Every error Relook raises on purpose. Layer: core.

    RelookError
    |- InputError (ValueError)          what the caller gave cannot be used
    |  |- QueryError                    an empty or unreadable query
    |  |- ImageError                    a file that cannot be decoded into a picture
    |  |- MetadataError                 a sidecar file that cannot be read
    |  |- RequestError                  the parts of a request do not fit together
    |  `- TooLargeError                 more bytes than are taken at once
    |- NotFoundError (LookupError)      no such library, image, session or adapter
    |- LibraryError                     the library on disk cannot serve this
    |  |- LibraryBusyError              another process is writing to it
    |  |- LibraryFormatError            made by a newer Relook, or damaged
    |  |- EncoderMismatchError          made by another encoder
    |  `- StorageError (OSError)        the disk refused: full, read-only, gone
    |     `- StoreError                 the server that holds the vectors is down or refused
    |- MissingExtraError                an optional package is not installed
    |- ModelError                       an encoder's files are missing or wrong
    |- FetchError (OSError)             an address on the web could not be read
    |- AnswerError                      the model that was asked gave no answer
    |- ClusterError                     the workers on other machines cannot be reached
    |- AccessError                      this caller may not do this
    |  |- TokenError                    no token, or a wrong one
    |  |- SignInError                   nobody signed in, or with a wrong name or password
    |  `- TriesError                    too many wrong passwords for now
    `- OverloadError                    too much to do just now; the same again later may work

Each has a stable `code`, a `message` with the value that was wrong, and a `hint` that says what to
do next. Nothing here prints or exits. `disk_error` makes one of what the system says when a disk
refuses; `is_no` says what came where something else is expected, `counted` how many, in messages
and in every other sentence for people.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class RelookError(Exception):
    """The base of all errors raised on purpose.

    Args:
        code: A stable name in snake_case, for programs.
        message: What happened, with the value that caused it, for people.
        hint: What to do next; empty when there is nothing to add.
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def as_dict(self) -> dict[str, dict[str, str]]:
        """The error object that the CLI's `--json` and the API share."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class InputError(RelookError, ValueError):
    """What the caller gave cannot be used."""


class QueryError(InputError):
    """A query is empty, or a part of it cannot be read."""


class ImageError(InputError):
    """A file cannot be decoded into a picture."""


class MetadataError(InputError):
    """A sidecar file cannot be read."""


class RequestError(InputError):
    """The parts of a request do not fit together."""


class TooLargeError(InputError):
    """More bytes were sent than are taken at once."""


class NotFoundError(RelookError, LookupError):
    """No library, image, session or adapter has this name."""


class LibraryError(RelookError):
    """The library on disk cannot serve this request."""


class LibraryBusyError(LibraryError):
    """Another process is writing to the library."""


class LibraryFormatError(LibraryError):
    """The library was written by a newer Relook, or its files do not fit together."""


class EncoderMismatchError(LibraryError):
    """The library's vectors come from another encoder than the one at hand."""


class StorageError(LibraryError, OSError):
    """The disk refused: full, read-only or gone."""


class StoreError(StorageError):
    """The server that holds a shared library's vectors is down, or did not do it."""


class MissingExtraError(RelookError):
    """A feature needs an optional package that is not installed."""


class ModelError(RelookError):
    """An encoder's files are missing, changed, or do not fit together."""


class FetchError(RelookError, OSError):
    """An address on the web could not be read: no such host, too slow, an error status."""


class AnswerError(RelookError):
    """The model that was asked gave no answer: not reached, refused, too slow, or nonsense."""


class ClusterError(RelookError):
    """The workers on other machines cannot be reached, or they all failed."""


class AccessError(RelookError):
    """This caller may not do this."""


class TokenError(AccessError):
    """The request carries no token, or a wrong one."""


class SignInError(AccessError):
    """Nobody is signed in, or the name or the password is wrong."""


class TriesError(AccessError):
    """There were too many wrong passwords; the same request may work later."""


class OverloadError(RelookError):
    """There is too much to do just now; the same request may work later."""


_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
_FAILED = (errno.EIO, errno.ENXIO, errno.ESTALE)
_HINTS = {
    "disk_read_only": "check who may write there and whether the disk is mounted read-only, and run"
    " the same command again",
    "disk_failed": "check the disk: its connection and what the system's log says of it; then"
    " relook doctor --check",
    "disk_refused": "make room on the disk, check that it is there, and run the same command again",
}


def disk_error(message: str, error: OSError, hint: str = "") -> StorageError:
    """The error to raise for a file that could not be written.

    Args:
        message: What could not be done, without the reason.
        error: Why.
        hint: What to do when the disk is full, where more can be said than usual.

    Returns:
        StorageError `disk_read_only` when nothing may be written there, `disk_failed` when
        writing fails, and `disk_refused` for all else: mostly, there is no room.
    """
    code = "disk_refused"
    if error.errno in _READ_ONLY:
        code = "disk_read_only"
    elif error.errno in _FAILED:
        code = "disk_failed"
    hint = hint if hint and code == "disk_refused" else _HINTS[code]
    return StorageError(code, f"{message}: {error.strerror or error}", hint)


def unread_file(code: str, path: object, error: OSError) -> InputError:
    """The error to raise for a file that somebody named and that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return InputError(code, f"there is no {path}", "check the path")
    reason = error.strerror or error
    return InputError(code, f"cannot read {path}: {reason}", "check the path, and who may read it")


@contextmanager
def proxies_understood() -> Iterator[None]:
    """Around the making of an HTTP client, which reads ALL_PROXY and its kin then.
    Raises:
        InputError: `bad_proxy` when a proxy of the environment is of a kind that cannot be used.
    """
    try:
        yield
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise InputError(
            "bad_proxy",
            "the environment names a SOCKS proxy (ALL_PROXY or its kin): that needs a package more",
            "pip install socksio, or unset the variable, or name the host in NO_PROXY",
        ) from error
    except ValueError as error:
        raise InputError(
            "bad_proxy",
            f"a proxy that the environment names cannot be used: {error}",
            "it looks like http://HOST:PORT; check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
        ) from error


def is_no(value: object, what: str) -> str:
    """What to say of a value of another kind, in one line: "['a.jpg'] is no path"."""
    return f"{' '.join(repr(value).split())[:100]} is no {what}"


def counted(n: int, what: str, several: str = "") -> str:
    """A number and its noun: "1 picture", "1,000 pictures".

    Args:
        n: How many.
        what: One of them, perhaps with its verb: "picture is".
        several: More of them; `what` with an s when empty.
    """
    return f"{n:,} {what}" if n == 1 else f"{n:,} {several or what + 's'}"
