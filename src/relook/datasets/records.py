"""What a publisher's record says of a data set's file. Layer: datasets."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx

from relook.core.errors import FetchError
from relook.datasets.catalogue import Archive, Dataset

__all__ = ["read_record"]

_MD5 = re.compile(r"md5:([0-9a-f]{32})\Z")


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
