"""Real processes that are killed, stopped, locked out, or have no room: nothing is lost."""

import contextlib
import json
import os
import random
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import filelock
import numpy as np
import pytest
from library_parts import many
from process_parts import held_midway

import relook
from relook.core.errors import LibraryBusyError
from relook.library.files import LibraryFiles
from relook.testing import ColourEncoder

RUNNER = Path(__file__).with_name("index_runner.py")
N_PICTURES, N_KILLS = 300, 20


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("album")
    many(folder, N_PICTURES)
    return folder


def command(library: Path, pictures: Path, *more: str) -> list[str]:
    return [sys.executable, "-W", "error", str(RUNNER), str(library), str(pictures), *more]


def start(library: Path, pictures: Path, *more: str) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        command(library, pictures, *more),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(library: Path, pictures: Path) -> None:
    """Indexes to the end."""
    process = start(library, pictures)
    assert process.communicate() == ("", "")
    assert process.returncode == 0


def content(library: Path) -> dict[bytes, bytes]:
    """Vectors of every image by path, after checking that the files fit together."""
    with LibraryFiles.open(library) as files:
        images = list(files.catalog.each_image())
        used = [row for i in images for row in range(i.first_row, i.first_row + i.n_tiles)]
        assert len(used) == len(set(used))
        assert max(used, default=-1) < len(files.vectors)
        found = {
            i.facts.path: files.vectors.block(i.first_row, i.first_row + i.n_tiles).tobytes()
            for i in images
        }
        assert len(found) == len(images)
        return found


@pytest.fixture(scope="module")
def undisturbed(album: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bytes, bytes]:
    library = tmp_path_factory.mktemp("undisturbed") / "library"
    finish(library, album)
    found = content(library)
    assert len(found) == len(set(found.values())) == N_PICTURES
    return found


def check_whole(library: Path, expected: dict[bytes, bytes]) -> None:
    """Every picture exactly once, with its own vectors, and every row of the file named."""
    assert content(library) == expected
    with LibraryFiles.open(library) as files:
        table = files.row_table
        assert np.array_equal(table[:, 0], np.arange(len(expected)) * 5)
        assert len(files.vectors) == 5 * len(expected)
        assert files.alive() is None
        assert (library / "vectors.f16").stat().st_size == files.vectors.dim * 2 * len(
            files.vectors
        )


@pytest.fixture
def server() -> Iterator["subprocess.Popen[bytes]"]:
    """Starts a process for each line it is given, without the time that imports take."""
    with subprocess.Popen(
        [sys.executable, str(RUNNER), "serve"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


def index_for(server: "subprocess.Popen[bytes]", library: Path, album: Path, wait_s: float) -> int:
    """Indexes in a new process that is killed after a while; returns its exit code."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(f"{library} {album}\n".encode())
    number = int(server.stdout.readline())
    if not select.select([server.stdout], [], [], wait_s)[0]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return int(server.stdout.readline())


def test_twenty_kills_at_random_moments_lose_and_double_nothing(
    server: "subprocess.Popen[bytes]",
    album: Path,
    tmp_path: Path,
    undisturbed: dict[bytes, bytes],
) -> None:
    began = time.monotonic()
    assert index_for(server, tmp_path / "timed", album, 600.0) == 0
    run_s = time.monotonic() - began
    rng = random.Random(2)
    library = tmp_path / "library"
    n_kills, sizes, longest_s = 0, set(), 0.6 * run_s
    while n_kills < N_KILLS or len(sizes) < 5:  # kills that meet different states
        code = index_for(server, library, album, rng.uniform(0.0, longest_s))
        assert code in (0, -signal.SIGKILL)
        n_kills += code != 0
        longest_s *= 1.1 if code else 0.7  # the machine may be slower or faster by now
        if not (library / "manifest.json").exists():
            continue
        found = content(library)
        sizes.add(len(found))
        assert all(undisturbed[path] == vectors for path, vectors in found.items())
        if code == 0:  # it was done before its kill: from the start again
            check_whole(library, undisturbed)
            shutil.rmtree(library)
    assert index_for(server, library, album, 600.0) == 0
    check_whole(library, undisturbed)


def test_ctrl_c_stops_cleanly_and_the_next_run_goes_on(
    album: Path, tmp_path: Path, undisturbed: dict[bytes, bytes]
) -> None:
    library = tmp_path / "library"
    process = held_midway(
        command(library, album), dict(os.environ),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.send_signal(signal.SIGINT)
    assert process.communicate() == ("ready\n", "")
    assert process.returncode == 130
    found = content(library)
    assert 0 < len(found) < N_PICTURES
    assert not (library / "writer.pid").exists()
    finish(library, album)
    check_whole(library, undisturbed)


@pytest.mark.parametrize("room_bytes", [40, 10_000, 42_000])
def test_a_full_disk_is_told_and_the_next_run_finishes(
    album: Path, tmp_path: Path, undisturbed: dict[bytes, bytes], room_bytes: int
) -> None:
    """A limit on the size of a file stands in for a full disk: writes fail half done."""
    library = tmp_path / "library"
    if room_bytes > 40:
        (tmp_path / "none").mkdir()
        finish(library, tmp_path / "none")
    process = start(library, album, str(room_bytes))
    out, err = process.communicate()
    # Where the run takes long enough for a backup, the disk has no room for that either.
    told = [line for line in err.splitlines() if not line.startswith("there is no new backup of ")]
    assert (process.returncode, told) == (1, [])
    # SQLite tells a file that may not grow as an input/output error.
    assert out.startswith(("disk_refused\n", "disk_failed\n"))
    assert "too large" in out or "full" in out or "I/O error" in out
    if (library / "manifest.json").exists():
        assert len(content(library)) < N_PICTURES
    finish(library, album)
    check_whole(library, undisturbed)


@pytest.fixture
def held(tmp_path: Path, album: Path) -> Iterator[tuple[Path, int]]:
    """A library whose lock another process holds, and the number of that process."""
    library = tmp_path / "library"
    finish(library, album)
    program = (
        "import sys; from pathlib import Path; from relook.library.lock import WriterLock\n"
        "with WriterLock(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(library)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield library, process.pid


def test_the_second_writer_is_told_and_a_search_is_not_disturbed(
    held: tuple[Path, int], album: Path
) -> None:
    library, number = held
    with relook.Library(library, encoder=ColourEncoder()) as second:
        for write in (lambda: second.add(album), lambda: second.forget(album)):
            with pytest.raises(LibraryBusyError) as raised:
                write()
            assert raised.value.message == f"process {number} is writing to this library"
        assert len(second.search("red", limit=7)) == 7
    with pytest.raises(filelock.Timeout):
        filelock.FileLock(library / "writer.lock", timeout=0).acquire()


SEARCH = """
import json, os, sys, tempfile, relook
from relook.testing import ColourEncoder, solid
with tempfile.TemporaryDirectory() as name:  # imports all while we may read Python's folders
    solid("red").save(os.path.join(name, "red.png"))
    with relook.Library(os.path.join(name, "library"), encoder=ColourEncoder()) as library:
        library.add(name)
        library.search("red")
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
assert not os.access(sys.argv[1], os.W_OK)
with relook.Library(sys.argv[1], encoder=ColourEncoder()) as library:
    hits = [[hit.image_id, hit.score] for hit in library.search("red", limit=9)]
    try:
        library.add(sys.argv[2])
    except relook.RelookError as error:
        print(json.dumps([hits, error.code]))
"""


@pytest.mark.parametrize("log_left", [False, True], ids=["closed", "killed writer"])
def test_a_read_only_library_is_searched(album: Path, log_left: bool) -> None:
    """Root may write anywhere, so root asks as nobody does."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        library = Path(name) / "library"
        finish(library, album)
        with relook.Library(library, encoder=ColourEncoder()) as writable:
            expected = [[hit.image_id, hit.score] for hit in writable.search("red", limit=9)]
            if log_left:  # as a kill leaves it: SQLite's log is there, and no index of the log
                shutil.copytree(library, Path(name) / "left")
        asked = Path(name) / "left" if log_left else library
        for path in [asked, *asked.iterdir()]:
            os.chmod(path, stat.S_IMODE(path.stat().st_mode) & 0o555)
        try:
            done = subprocess.run(
                [sys.executable, "-c", SEARCH, str(asked), name],
                capture_output=True,
                text=True,
                check=False,
            )
            assert not done.returncode, done.stderr
        finally:
            os.chmod(asked, 0o755)
        assert json.loads(done.stdout) == [expected, "disk_read_only"]
