"""Pictures in remote stores, through fsspec: s3, gs, az, http and more. Layer: core.

Only reads, and only addresses that a catalog or a listing holds: no web page and no request
names one. Redirects are not followed, so an address never leads to another host. Credentials
come from where the store's own tools have them (environment, profile), never from an address.

Source: fsspec's documentation, "API Reference" (`AbstractFileSystem.ls`, `info`, `cat_file`),
https://filesystem-spec.readthedocs.io
"""

import hashlib
import os
import re
import time
from collections.abc import Callable
from typing import IO, Any, TypeVar, cast
from urllib.parse import unquote

from relook.core.errors import FetchError, ImageError, InputError, MissingExtraError
from relook.core.retry import Retries

T = TypeVar("T")
_TRIES = 3
_BACKOFF_S = 0.3  # doubled before each further try
_TIMEOUT_S = 30.0  # of one request
_CHUNK = 1024**2
# What stores say about an object's version, the strictest first.
_MARKS = (
    "ETag", "etag", "md5Hash", "generation", "content_md5", "Content-MD5", "Digest",
    "LastModified", "last_modified", "Last-Modified", "updated", "mtime", "modified", "created",
)  # fmt: skip
_WEB = ("http", "https")
_PACKAGES = {
    "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs",
    "sftp": "paramiko", "ssh": "paramiko", "hf": "huggingface-hub",
}  # fmt: skip
_CREDENTIALS = re.compile(r"^[^/]*@")


def clean_address(text: str) -> bytes:
    """An address as catalogs keep it, without a slash at its end.

    Raises:
        InputError: `bad_address` for one with a password, a chain or a fragment.
    """
    scheme, _, rest = text.partition("://")
    why = ""
    if _CREDENTIALS.match(rest):
        why = "it holds a user name: give credentials where the store's own tools look for them"
    elif "::" in text:
        why = "chains of file systems are not read"
    elif "#" in rest or "?" in rest:
        why = "an address has no query and no fragment"
    elif any(unquote(part) in (".", "..") for part in rest.split("/")):
        why = "it has . or .. in it"
    if why or not rest.strip("/"):
        raise InputError("bad_address", f"cannot index {text}: {why or 'it names no place'}")
    host, slash, path = rest.partition("/")
    if scheme.lower() in _WEB:  # case counts in the name of a bucket, not in a host's
        host = host.lower()
    return os.fsencode(f"{scheme.lower()}://{(host + slash + path).rstrip('/')}")


def find_file_system(url: bytes) -> tuple[Any, str]:
    """The file system of an address, and its path there.

    Raises:
        MissingExtraError: when the package for it is not installed.
        InputError: `bad_address` when fsspec knows no such scheme.
    """
    text = os.fsdecode(url)
    scheme = text.partition("://")[0]
    try:
        import fsspec
    except ModuleNotFoundError as error:
        raise _missing(text, scheme) from error
    options: dict[str, Any] = {"use_listings_cache": False}
    try:
        if scheme in _WEB:
            import aiohttp

            limit = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            options |= {"allow_redirects": False, "client_kwargs": {"timeout": limit}}
        file_system, path = fsspec.core.url_to_fs(text, **options)
    except ImportError as error:
        raise _missing(text, scheme) from error
    except ValueError as error:
        raise InputError("bad_address", f"cannot read {text}: {error}") from error
    return file_system, cast(str, path)


def _missing(text: str, scheme: str) -> MissingExtraError:
    package = _PACKAGES.get(scheme, "")
    command = f"pip install 'relook[remote]' {package}".rstrip()
    return MissingExtraError("missing_extra", f"{text} needs an optional package", command)


def retrying(work: Callable[[], T]) -> T:
    """What the work returns; it is tried again after a passing trouble.

    Raises:
        FileNotFoundError, PermissionError: at once: they do not pass.
        FetchError: `unreachable` after the last try.
    """
    retries = Retries(_TRIES - 1, _BACKOFF_S, sleep=time.sleep)
    while True:
        try:
            return work()
        except (PermissionError, MissingExtraError):
            raise
        # Each store raises errors of its own: this is the edge to them.
        except Exception as error:
            if is_absent(error):
                raise FileNotFoundError(str(error)) from error
            if not retries.wait(retries.pause_s()):
                reason = str(error) or type(error).__name__
                raise FetchError(
                    "unreachable", f"no answer after {_TRIES} tries: {reason}",
                    "check the address, the network and the credentials, and try again",
                ) from error  # fmt: skip


def is_absent(error: Exception) -> bool:
    """Whether a store said that something is not there, and not only that it cannot tell."""
    if not isinstance(error, FileNotFoundError):
        return False
    # fsspec calls every failed question about a web address "not found".
    return error.__cause__ is None or getattr(error.__cause__, "status", 0) in (404, 410)


def looked_at(info: dict[str, Any]) -> tuple[int, int]:
    """Size, and a number that changes with the object, from what a store says about it.

    A store that says nothing of versions gets another number each time: its objects are then
    read again, and known by their content.
    """
    mark = next((info[name] for name in _MARKS if info.get(name)), None)
    size = int(info.get("size") or 0)
    if mark is None:
        return size, time.time_ns()
    digest = hashlib.blake2b(str(mark).encode(), digest_size=8).digest()
    return size, int.from_bytes(digest, "big") >> 1


def size_and_stamp(url: bytes) -> tuple[int, int]:
    """Size and version of an object, as `looked_at`.

    Raises:
        ImageError: `vanished` or `unreadable`.
    """
    file_system, path = find_file_system(url)
    return looked_at(_for_image(lambda: file_system.info(path)))


def read_whole(url: bytes, max_bytes: int) -> bytes:
    """Reads an object whole.

    Raises:
        ImageError: `vanished`, `unreadable`, `empty_file` or `file_too_large`.
    """
    file_system, path = find_file_system(url)
    is_web = url.partition(b"://")[0].decode() in _WEB

    def read() -> bytes:
        if is_web:
            return _streamed(file_system, path, max_bytes)
        return cast(bytes, file_system.cat_file(path))

    data = _for_image(read)
    if len(data) > max_bytes:
        raise ImageError("file_too_large", f"it has more than {max_bytes:,} bytes")
    if not data:
        raise ImageError("empty_file", "the file is empty (0 bytes)")
    return data


def _streamed(file_system: Any, path: str, max_bytes: int) -> bytes:
    """At most one chunk more than the limit, whatever a web server sends."""
    pieces, n_bytes = [], 0
    # A size, which a stream does not use, saves a request.
    with file_system.open(path, "rb", block_size=0, size=1) as file:
        if 300 <= file.r.status < 400:
            raise PermissionError("it redirects elsewhere, which is not followed")
        while n_bytes <= max_bytes and (piece := file.read(_CHUNK)):
            pieces.append(piece)
            n_bytes += len(piece)
    return b"".join(pieces)


def read_range(url: bytes, offset: int, n_bytes: int) -> bytes:
    """Some bytes of an object; fewer at its end.

    Raises:
        ImageError: `vanished` or `unreadable`.
    """
    file_system, path = find_file_system(url)
    data = _for_image(lambda: file_system.cat_file(path, start=offset, end=offset + n_bytes))
    if len(data) > n_bytes:  # a web server that does not know ranges sends everything
        data = data[offset : offset + n_bytes]
    return cast(bytes, data)


def open_file(url: bytes) -> IO[bytes]:
    """An object as a file that can be read anywhere.

    Raises:
        ImageError: `vanished` or `unreadable`.
    """
    file_system, path = find_file_system(url)
    return cast(IO[bytes], _for_image(lambda: file_system.open(path, "rb")))


def _for_image(work: Callable[[], T]) -> T:
    try:
        return retrying(work)
    except FileNotFoundError:
        raise ImageError("vanished", "the store does not have it any more") from None
    except PermissionError as error:
        raise ImageError("unreadable", f"cannot read it: {error}") from error
    except FetchError as error:
        raise ImageError("unreadable", f"cannot read it: {error.message}") from error
