"""Downloads that go on where they broke off, and are what they should be. Layer: core.

Bytes go to `NAME.part`; the file has its name only when its length and checksum are right.
Length and checksum come from us or from the publisher's record, never from the server that
sends the file. Needs `httpx`.

Source: RFC 9110, sections 14 (Range, Content-Range) and 13.1.5 (If-Range).
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import httpx

from relook.core.checksum import Checksum
from relook.core.errors import FetchError, disk_error, proxies_understood
from relook.core.progress import Progress, ProgressCallback
from relook.core.retry import Retries, retry_after_s

_CHUNK = 1 << 20
_MEGABYTE = 10**6
_TRIES = 5
_MAX_WAIT_S = 60.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")


class RemoteFile(Protocol):
    """A file that somebody publishes.

    Attributes:
        url: Where it is.
        name: Its name here.
        n_bytes: Its size.
        checksum: What it sums up to; None when its maker does not say, and only the size counts.
    """

    @property
    def url(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def checksum(self) -> Checksum | None: ...


def open_client(headers: Mapping[str, str] | None = None) -> httpx.Client:
    """A client for large files; it waits for a silent server, but not for ever.

    Args:
        headers: Sent with every request; an Authorization not to another host.
    """
    with proxies_understood():
        return httpx.Client(
            timeout=httpx.Timeout(30.0, connect=15.0),
            follow_redirects=True,
            headers={"User-Agent": "relook", **(headers or {}), "Accept-Encoding": "identity"},
        )


class Downloader:
    """Fetches files into a folder.

    Args:
        client: Made by `open_client`.
        folder: Where the files go.
        progress: Called with bytes so far.
        sleep: Waits between tries.
    """

    def __init__(
        self,
        client: httpx.Client,
        folder: Path,
        progress: ProgressCallback | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client, self._folder = client, folder
        self._progress = progress or (lambda _: None)
        self._sleep = sleep

    def fetch(self, wanted: RemoteFile) -> Path:
        """The file here, downloaded as far as it is not there yet.

        Raises:
            FetchError: `unreachable`, `bad_status`, `bad_length`, `bad_range`, `bad_checksum`.
            StorageError: `disk_refused`.
        """
        target = self._folder / wanted.name
        if target.is_file() and target.stat().st_size == wanted.n_bytes:
            self._verify(target, wanted)
            return target
        part = target.with_name(target.name + ".part")
        try:
            self._until_whole(part, wanted)
            self._verify(part, wanted)
            part.replace(target)
        except OSError as error:
            if isinstance(error, FetchError):
                raise
            raise disk_error(
                f"cannot write {part}", error,
                "make room on the disk and run the same command again; it goes on from there",
            ) from error  # fmt: skip
        _mark_of(part).unlink(missing_ok=True)
        return target

    def _until_whole(self, part: Path, wanted: RemoteFile) -> None:
        """Tries again while there is progress, and a few times without."""
        retries = Retries(_TRIES - 1, 1.0, _MAX_WAIT_S, sleep=self._sleep)
        most = _size(part)
        while _size(part) != wanted.n_bytes:
            if _size(part) > wanted.n_bytes:
                part.unlink()  # of another version
            wanted_s, reason = None, "sent nothing new"
            try:
                wanted_s = self._attempt(part, wanted)
            except httpx.RequestError as error:
                reason = f"broke off: {error}"
            if _size(part) > most:
                most = _size(part)
                retries.reset()
            elif not retries.wait(min(retries.pause_s(wanted_s), _MAX_WAIT_S)):
                raise FetchError(
                    "unreachable",
                    f"{wanted.url} {reason}; {_size(part):,} of {wanted.n_bytes:,} bytes are there",
                    "check the network and run the same command again; it goes on from there",
                )

    def _attempt(self, part: Path, wanted: RemoteFile) -> float | None:
        """One request; returns the seconds that the server wants to wait, or None."""
        have, mark = _size(part), _read_mark(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and mark:
            headers["If-Range"] = mark
        with self._client.stream("GET", wanted.url, headers=headers) as answer:
            _check_scheme(wanted.url, answer)
            if answer.status_code in _PASSING:
                return retry_after_s(answer.headers.get("retry-after", ""))
            if answer.status_code == 416 or (answer.status_code == 206 and not have):
                part.unlink(missing_ok=True)
                return None
            if answer.status_code not in (200, 206):
                raise FetchError(
                    "bad_status",
                    f"{wanted.url} answered {answer.status_code} {answer.reason_phrase}",
                    "the publisher may have moved it",
                )
            begin = _check_length(answer, wanted, have)
            _mark_of(part).write_text(answer.headers.get("etag", ""), "utf-8")
            self._write(answer, part, begin, wanted)
        return None

    def _write(self, answer: httpx.Response, part: Path, begin: int, wanted: RemoteFile) -> None:
        done, began = begin, time.monotonic()
        with open(part, "ab" if begin else "wb") as file:
            for data in answer.iter_raw():  # as it comes: a break loses nothing that arrived
                done += len(data)
                if done > wanted.n_bytes:
                    raise _wrong_length(wanted, f"sent more than {wanted.n_bytes:,} bytes")
                file.write(data)
                rate = (done - begin) / max(time.monotonic() - began, 1e-9)
                self._tell("fetching", wanted, done, rate)

    def _tell(self, doing: str, wanted: RemoteFile, done: int, rate: float = 0.0) -> None:
        stage = f"{doing} {wanted.name}, MB"
        self._progress(
            Progress(stage, done // _MEGABYTE, wanted.n_bytes // _MEGABYTE, rate / _MEGABYTE)
        )

    def _verify(self, path: Path, wanted: RemoteFile) -> None:
        if wanted.checksum is None:
            return
        digest = wanted.checksum.begin(wanted.n_bytes)
        done = 0
        with open(path, "rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
                done += len(data)
                self._tell("checking", wanted, done)
        if digest.hexdigest() != wanted.checksum.digits:
            path.unlink()
            raise FetchError(
                "bad_checksum",
                f"{wanted.name} has the {wanted.checksum.kind} sum {digest.hexdigest()}, not"
                f" {wanted.checksum.digits}; it is removed",
                "run the same command again; if it stays so, the file was changed on its way",
            )


def _check_length(answer: httpx.Response, wanted: RemoteFile, have: int) -> int:
    """Where the answer's bytes begin; refuses an answer about another length."""
    length = answer.headers.get("content-length")
    if answer.status_code == 200:
        if length is not None and int(length) != wanted.n_bytes:
            raise _wrong_length(wanted, f"announces {int(length):,} bytes")
        return 0
    stated = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
    if stated is None or int(stated[1]) != have:
        raise FetchError(
            "bad_range",
            f"{wanted.url} was asked from byte {have:,} and answers"
            f" {answer.headers.get('content-range')!r}",
            "remove the .part file and run the same command again",
        )
    if int(stated[3]) != wanted.n_bytes:
        raise _wrong_length(wanted, f"announces {int(stated[3]):,} bytes")
    return have


def _check_scheme(url: str, answer: httpx.Response) -> None:
    if url.startswith("https:") and answer.url.scheme != "https":
        raise FetchError(
            "bad_status", f"{url} leads to {answer.url}, which is not encrypted", "report it"
        )


def _wrong_length(wanted: RemoteFile, stated: str) -> FetchError:
    return FetchError(
        "bad_length",
        f"{wanted.url} {stated}; {wanted.name} has {wanted.n_bytes:,}",
        "this is another file than the published one",
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mark_of(part: Path) -> Path:
    """Beside a partial file: which version of the server's file it is part of."""
    return part.with_name(part.name + ".etag")


def _read_mark(part: Path) -> str:
    mark = _mark_of(part)
    text = mark.read_text("utf-8").strip() if mark.is_file() else ""
    # A weak mark must not be sent in If-Range (RFC 9110, 13.1.5).
    return "" if text.startswith("W/") else text
