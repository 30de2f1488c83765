"""Downloads from a server that breaks off, lies, and serves something else."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from file_server import Served, serving

from relook.core.download import Downloader, open_client
from relook.core.errors import FetchError
from relook.datasets.catalogue import Archive, Dataset
from relook.datasets.obtain import read_record

DATA = bytes(range(256)) * 4000  # a megabyte
MD5 = hashlib.md5(DATA, usedforsecurity=False).hexdigest()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(DATA)) as found:
        yield found


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with open_client() as found:
        yield found


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def fetch(
    served: Served, client: httpx.Client, waits: list[float], tmp_path: Path
) -> Callable[..., Path]:
    def fetch_it(md5: str = MD5, n_bytes: int = len(DATA)) -> Path:
        archive = Archive(served.address + "/a.zip", "a.zip", n_bytes, md5)
        return Downloader(client, tmp_path, sleep=waits.append).fetch(archive)

    return fetch_it


Fetch = Callable[..., Path]


def ranges(served: Served) -> list[str | None]:
    return [headers.get("Range") for headers in served.asked]


def test_a_file_is_fetched_once_and_checked(served: Served, fetch: Fetch, tmp_path: Path) -> None:
    assert fetch().read_bytes() == DATA
    assert fetch() == tmp_path / "a.zip"
    assert len(served.asked) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_connection_that_breaks_off_goes_on(served: Served, fetch: Fetch) -> None:
    served.breaks_at = [300_000, 0, 100_000]
    assert fetch().read_bytes() == DATA
    assert ranges(served) == [None, "bytes=300000-", "bytes=300000-", "bytes=400000-"]
    assert served.asked[1]["If-Range"] == '"one"'


def test_another_run_goes_on_where_the_last_one_ended(
    served: Served, fetch: Fetch, tmp_path: Path, waits: list[float]
) -> None:
    served.breaks_at = [700_000, *[0] * 5]
    with pytest.raises(FetchError, match="700,000 of 1,024,000 bytes are there") as raised:
        fetch()
    assert raised.value.code == "unreachable"
    assert waits == [1.0, 2.0, 4.0, 8.0]
    assert (tmp_path / "a.zip.part").stat().st_size == 700_000
    assert not (tmp_path / "a.zip").exists()
    assert fetch().read_bytes() == DATA
    assert ranges(served)[-1] == "bytes=700000-"


def test_a_server_without_ranges_starts_over(served: Served, fetch: Fetch) -> None:
    served.ranges, served.breaks_at = False, [300_000]
    assert fetch().read_bytes() == DATA
    assert ranges(served) == [None, "bytes=300000-"]


def test_a_server_without_ranges_that_always_breaks_off_is_given_up(
    served: Served, fetch: Fetch
) -> None:
    served.ranges, served.breaks_at = False, [500_000, 100_000, 400_000, 500_000, 9, 9, 9, 9]
    with pytest.raises(FetchError, match="broke off"):
        fetch()
    assert len(served.asked) == 6


def test_a_version_that_changed_starts_over(served: Served, fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
    (tmp_path / "a.zip.part.etag").write_text('"older"')
    assert fetch().read_bytes() == DATA
    assert served.asked[0]["If-Range"] == '"older"'


def test_a_partial_file_that_is_too_long_is_thrown_away(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA + b"more")
    assert fetch().read_bytes() == DATA


def test_a_busy_server_is_asked_again(served: Served, fetch: Fetch) -> None:
    served.statuses = [503, 429]
    assert fetch().read_bytes() == DATA
    assert len(served.asked) == 3


def test_a_refusal_is_not(served: Served, fetch: Fetch) -> None:
    served.statuses = [404, 404]
    with pytest.raises(FetchError, match="answered 404"):
        fetch()
    assert len(served.asked) == 1


def test_a_length_that_is_not_the_published_one(served: Served, fetch: Fetch) -> None:
    with pytest.raises(FetchError, match=r"announces 1,024,000 bytes; a\.zip has 1,000") as raised:
        fetch(n_bytes=1000)
    assert raised.value.code == "bad_length"


@pytest.mark.parametrize("announce", [len(DATA) - 1, len(DATA) + 1, 10**15])
def test_a_length_that_is_a_lie(served: Served, fetch: Fetch, announce: int) -> None:
    served.announce = announce
    with pytest.raises(FetchError, match="announces"):
        fetch()


def test_more_bytes_than_published_are_not_written(
    served: Served, fetch: Fetch, tmp_path: Path
) -> None:
    served.extra = b"x" * 5_000_000
    with pytest.raises(FetchError, match="sent more than 1,024,000 bytes"):
        fetch()
    assert (tmp_path / "a.zip.part").stat().st_size <= len(DATA)


def test_without_a_length_it_is_counted(served: Served, fetch: Fetch) -> None:
    served.chunked, served.breaks_at = True, [300_000]  # ends early, and nobody can tell
    assert fetch().read_bytes() == DATA


@pytest.mark.parametrize("told", ["bytes 0-9/10", "bytes 4-1023999/1024000", "nonsense"])
def test_a_range_that_is_another_one(
    served: Served, fetch: Fetch, tmp_path: Path, told: str
) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA[:1000])
    (tmp_path / "a.zip.part.etag").write_text('"one"')
    served.range_says = told
    with pytest.raises(FetchError, match="was asked from byte 1,000") as raised:
        fetch()
    assert raised.value.code == "bad_range"


def test_a_range_of_another_file(served: Served, fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(DATA[:1000])
    (tmp_path / "a.zip.part.etag").write_text('"one"')
    served.range_says = "bytes 1000-1999/2000"
    with pytest.raises(FetchError, match="announces 2,000 bytes"):
        fetch()


def test_a_wrong_checksum_removes_the_file(served: Served, fetch: Fetch, tmp_path: Path) -> None:
    served.data = bytes(len(DATA))
    with pytest.raises(FetchError, match=f"not {MD5}; it is removed") as raised:
        fetch()
    assert raised.value.code == "bad_checksum"
    assert not any(path.name in ("a.zip", "a.zip.part") for path in tmp_path.iterdir())
    served.data = DATA
    assert fetch().read_bytes() == DATA


def test_a_finished_file_that_was_changed_is_noticed(fetch: Fetch, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(bytes(len(DATA)))
    with pytest.raises(FetchError, match="MD5"):
        fetch()
    assert fetch().read_bytes() == DATA


def test_nobody_there(client: httpx.Client, tmp_path: Path) -> None:
    archive = Archive("http://127.0.0.1:1/a.zip", "a.zip", 1, "")
    with pytest.raises(FetchError, match="broke off") as raised:
        Downloader(client, tmp_path, sleep=lambda _: None).fetch(archive)
    assert raised.value.code == "unreachable"


def _record(**changes: object) -> dict[str, object]:
    file = {
        "key": "set.zip", "size": len(DATA), "checksum": f"md5:{MD5}",
        "links": {"self": "{address}/api/files/set.zip"}, **changes,
    }  # fmt: skip
    return {"id": 1, "files": [{"key": "readme.txt"}, file]}


def _ask(served: Served, client: httpx.Client, body: bytes) -> Archive:
    served.pages["/record"] = body.replace(b"{address}", served.address.encode())
    url = served.address + "/record"
    return read_record(client, Dataset("set", (), "set", (), "", url, "set.zip"))


def test_a_record_says_size_and_checksum(served: Served, client: httpx.Client) -> None:
    found = _ask(served, client, json.dumps(_record()).encode())
    assert (found.n_bytes, found.md5, found.name) == (len(DATA), MD5, "set.zip")
    assert found.url == served.address + "/api/files/set.zip"


@pytest.mark.parametrize(
    "body",
    [
        b"<html>", b"[]", b'{"files": []}', json.dumps(_record(key="other.zip")).encode(),
        json.dumps(_record(checksum="md5:xyz")).encode(),
        json.dumps(_record(checksum="sha1:" + "0" * 40)).encode(),
        json.dumps(_record(size=-1)).encode(), json.dumps(_record(size="many")).encode(),
        json.dumps(_record(links={"self": "http://elsewhere.example/set.zip"})).encode(),
        json.dumps(_record(links={"self": "file:///etc/passwd"})).encode(),
    ],
)  # fmt: skip
def test_a_record_of_another_kind(served: Served, client: httpx.Client, body: bytes) -> None:
    with pytest.raises(FetchError) as raised:
        _ask(served, client, body)
    assert raised.value.code == "bad_record"
