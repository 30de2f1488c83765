"""What the tests of faults share: an album, its vectors, and a process to be killed."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from relook.core.images import content_hash, decode
from relook.encoders.base import encode_images
from relook.library.check import check
from relook.library.files import LibraryFiles
from relook.library.findings import CheckReport
from relook.testing import ColourEncoder, noise

TESTS = Path(__file__).parents[1]


def make_album(folder: Path, n: int, start: int = 0) -> Path:
    """Pictures 0000.png, 0001.png, ... that are all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(start, start + n):
        noise(seed).save(folder / f"{seed:04}.png", compress_level=1)
    return folder


def whole_vectors(pictures: Path) -> dict[bytes, bytes]:
    """Content -> the bytes that row 0 of a picture must have, computed apart from a library."""
    encoder = ColourEncoder()
    found = {}
    for path in sorted(pictures.iterdir()):
        data = path.read_bytes()
        vector = encode_images(encoder, [decode(data, encoder.input_px).image])[0]
        found[content_hash(data)] = vector.astype("<f2").tobytes()
    return found


def stored(library: Path) -> dict[bytes, tuple[bytes, bytes]]:
    """Path -> content and whole-picture vector of every image."""
    with LibraryFiles.open(library) as files:
        return {
            image.facts.path: (
                image.content,
                files.vectors.block(image.first_row, image.first_row + 1).astype("<f2").tobytes(),
            )
            for image in files.catalog.each_image()
        }


def told(report: CheckReport) -> list[tuple[str, str]]:
    return [(one.code, one.message) for one in report.findings]


def assert_sound(library: Path) -> CheckReport:
    report = check(library)
    assert told(report) == []
    return report


class Killer:
    """Starts victims in a process that is ready, and kills them."""

    def __init__(self, process: "subprocess.Popen[bytes]", library: Path, pictures: Path) -> None:
        self._process = process
        self.library, self.pictures = library, pictures
        self.work = library.parent / "work"

    def run(self, name: str, wait_s: float = 600.0, step: int = 0) -> bool:
        """Runs a victim, which is killed after a while, or ends itself as hard at its n-th step.

        Returns:
            Whether it was killed before its end.
        """
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        if step:
            (self.work / "step").write_text(str(step))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = f"{name} {self.library} {self.pictures} {self.work}\n"
        self._process.stdin.write(line.encode())
        number = int(self._process.stdout.readline())
        if not select.select([self._process.stdout], [], [], wait_s)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        code = int(self._process.stdout.readline())
        assert code in (0, -signal.SIGKILL), f"{name} failed by itself"
        return code != 0

    def acks(self) -> list[list[str]]:
        """What the last victim was promised."""
        path = self.work / "acks"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def victims() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that has everything imported, for victims on any library."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "faults.victims"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, cwd=TESTS, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process


@contextlib.contextmanager
def killer(library: Path, pictures: Path) -> Iterator[Killer]:
    """A process for victims on one library."""
    with victims() as process:
        yield Killer(process, library, pictures)
