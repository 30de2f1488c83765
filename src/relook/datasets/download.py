"""Downloads that go on where they broke off, and are what they should be. Layer: datasets.

Bytes go to `NAME.part`; the file has its name only when its length and checksum are right.
Length and checksum come from us or from the publisher's record, never from the server that
sends the file.

Source: RFC 9110, sections 14 (Range, Content-Range) and 13.1.5 (If-Range).
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from relook.core.disk_errors import disk_error
from relook.core.errors import FetchError
from relook.core.retry import Retries, retry_after_s
from relook.datasets.catalogue import Archive, Dataset
from relook.library.report import Progress, ProgressCallback

__all__ = ["Downloader", "open_client", "read_record"]

_CHUNK = 1 << 20
_MEGABYTE = 10**6
_TRIES = 5
_MAX_WAIT_S = 60.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_MD5 = re.compile(r"md5:([0-9a-f]{32})\Z")


def open_client() -> httpx.Client:
    """A client for large files; it waits for a silent server, but not for ever."""
    return httpx.Client(
        timeout=httpx.Timeout(30.0, connect=15.0),
        follow_redirects=True,
        headers={"User-Agent": "relook", "Accept-Encoding": "identity"},
    )


class Downloader:
    """Fetches archives into a folder.

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

    def fetch(self, archive: Archive) -> Path:
        """The archive's file, downloaded as far as it is not there yet.

        Raises:
            FetchError: `unreachable`, `bad_status`, `bad_length`, `bad_range`, `bad_checksum`.
            StorageError: `disk_refused`.
        """
        target = self._folder / archive.name
        if target.is_file() and target.stat().st_size == archive.n_bytes:
            self._verify(target, archive)
            return target
        part = target.with_name(target.name + ".part")
        try:
            self._until_whole(part, archive)
            self._verify(part, archive)
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

    def _until_whole(self, part: Path, archive: Archive) -> None:
        """Tries again while there is progress, and a few times without."""
        retries = Retries(_TRIES - 1, 1.0, _MAX_WAIT_S, sleep=self._sleep)
        most = _size(part)
        while _size(part) != archive.n_bytes:
            if _size(part) > archive.n_bytes:
                part.unlink()  # of another version
            wanted_s, reason = None, "sent nothing new"
            try:
                wanted_s = self._attempt(part, archive)
            except httpx.RequestError as error:
                reason = f"broke off: {error}"
            if _size(part) > most:
                most = _size(part)
                retries.reset()
            elif not retries.wait(min(retries.pause_s(wanted_s), _MAX_WAIT_S)):
                raise FetchError(
                    "unreachable",
                    f"{archive.url} {reason}; {_size(part):,} of {archive.n_bytes:,} bytes are"
                    " there",
                    "check the network and run the same command again; it goes on from there",
                )

    def _attempt(self, part: Path, archive: Archive) -> float | None:
        """One request; returns the seconds that the server wants to wait, or None."""
        have, mark = _size(part), _read_mark(part)
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and mark:
            headers["If-Range"] = mark
        with self._client.stream("GET", archive.url, headers=headers) as answer:
            _check_scheme(archive.url, answer)
            if answer.status_code in _PASSING:
                return retry_after_s(answer.headers.get("retry-after", ""))
            if answer.status_code == 416 or (answer.status_code == 206 and not have):
                part.unlink(missing_ok=True)
                return None
            if answer.status_code not in (200, 206):
                raise FetchError(
                    "bad_status",
                    f"{archive.url} answered {answer.status_code} {answer.reason_phrase}",
                    "the publisher may have moved it; see docs/datasets.md",
                )
            begin = _check_length(answer, archive, have)
            _mark_of(part).write_text(answer.headers.get("etag", ""), "utf-8")
            self._write(answer, part, begin, archive)
        return None

    def _write(self, answer: httpx.Response, part: Path, begin: int, archive: Archive) -> None:
        done, began = begin, time.monotonic()
        with open(part, "ab" if begin else "wb") as file:
            for data in answer.iter_raw():  # as it comes: a break loses nothing that arrived
                done += len(data)
                if done > archive.n_bytes:
                    raise _wrong_length(archive, f"sent more than {archive.n_bytes:,} bytes")
                file.write(data)
                rate = (done - begin) / max(time.monotonic() - began, 1e-9)
                self._tell("fetching", archive, done, rate)

    def _tell(self, doing: str, archive: Archive, done: int, rate: float = 0.0) -> None:
        stage = f"{doing} {archive.name}, MB"
        self._progress(
            Progress(stage, done // _MEGABYTE, archive.n_bytes // _MEGABYTE, rate / _MEGABYTE)
        )

    def _verify(self, path: Path, archive: Archive) -> None:
        if not archive.md5:
            return
        digest = hashlib.md5(usedforsecurity=False)
        done = 0
        with open(path, "rb") as file:
            while data := file.read(_CHUNK):
                digest.update(data)
                done += len(data)
                self._tell("checking", archive, done)
        if digest.hexdigest() != archive.md5:
            path.unlink()
            raise FetchError(
                "bad_checksum",
                f"{archive.name} has the MD5 sum {digest.hexdigest()}, not {archive.md5};"
                " it is removed",
                "run the same command again; if it stays so, the file was changed on its way",
            )


def read_record(client: httpx.Client, dataset: Dataset) -> Archive:
    """The archive of a data set as its publisher's Zenodo record describes it.

    Raises:
        FetchError: `unreachable`, `bad_status`, or `bad_record`.

    Source: Zenodo's REST API, https://developers.zenodo.org (records, `files`).
    """
    try:
        answer = client.get(dataset.record)
    except httpx.RequestError as error:
        raise FetchError(
            "unreachable", f"cannot reach {dataset.record}: {error}", "check the network"
        ) from error
    if answer.status_code != 200:
        raise FetchError("bad_status", f"{dataset.record} answered {answer.status_code}", "later?")
    try:
        files: dict[str, Any] = {file["key"]: file for file in answer.json()["files"]}
        entry = files[dataset.file]
        url, n_bytes = httpx.URL(entry["links"]["self"]), int(entry["size"])
        checksum = _MD5.match(entry["checksum"])
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, httpx.InvalidURL) as error:
        raise FetchError(
            "bad_record",
            f"{dataset.record} does not tell of {dataset.file}: {error!r}",
            "report it",
        ) from error
    record = httpx.URL(dataset.record)
    if checksum is None or n_bytes <= 0 or (url.scheme, url.host) != (record.scheme, record.host):
        raise FetchError(
            "bad_record", f"{dataset.record} names an odd size, checksum or address", "report it"
        )
    return Archive(str(url), dataset.file, n_bytes, checksum[1], grows=2.0)


def _check_length(answer: httpx.Response, archive: Archive, have: int) -> int:
    """Where the answer's bytes begin; refuses an answer about another length."""
    length = answer.headers.get("content-length")
    if answer.status_code == 200:
        if length is not None and int(length) != archive.n_bytes:
            raise _wrong_length(archive, f"announces {int(length):,} bytes")
        return 0
    stated = _CONTENT_RANGE.match(answer.headers.get("content-range", ""))
    if stated is None or int(stated[1]) != have:
        raise FetchError(
            "bad_range",
            f"{archive.url} was asked from byte {have:,} and answers"
            f" {answer.headers.get('content-range')!r}",
            "remove the .part file and run the same command again",
        )
    if int(stated[3]) != archive.n_bytes:
        raise _wrong_length(archive, f"announces {int(stated[3]):,} bytes")
    return have


def _check_scheme(url: str, answer: httpx.Response) -> None:
    if url.startswith("https:") and answer.url.scheme != "https":
        raise FetchError(
            "bad_status", f"{url} leads to {answer.url}, which is not encrypted", "report it"
        )


def _wrong_length(archive: Archive, stated: str) -> FetchError:
    return FetchError(
        "bad_length",
        f"{archive.url} {stated}; {archive.name} has {archive.n_bytes:,}",
        "this is another file than the published one; see docs/datasets.md",
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
