"""Indexing by a Ray cluster: one on this machine, of two cores, for the whole module."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from archive_parts import write_zip
from library_parts import many
from PIL import Image
from ray_parts import FAILS, KILLS, KILLS_ONCE, Fragile

import relook
from relook.cluster.ray_build import EncodeShard, RayPlan, RayWorkers, as_facts, outcomes
from relook.core.errors import ClusterError, EncoderMismatchError
from relook.core.settings import ImageLimits, IndexSettings, RaySettings
from relook.library.reading import Read
from relook.library.records import FileFacts, SkippedFile
from relook.testing import ColourEncoder, content_of, solid

# Ray Data sets its own deprecated settings when it copies its context.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*is deprecated:DeprecationWarning:ray.data.context"
)
N = 24
HERE = str(Path(__file__).parent)
ONE_WORKER = RaySettings(address="auto", workers=1, shard=8, cpus=0.5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster whose workers find the modules of these tests."""
    import ray  # here, as Ray takes a second and this file is one worker's
    import ray.data

    found = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [HERE, found]))
    context = ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=100 * 1024**2,
    )  # fmt: skip
    yield str(context.address_info["gcs_address"])
    ray.shutdown()
    os.environ["PYTHONPATH"] = found


@pytest.fixture
def album(tmp_path: Path) -> Path:
    many(tmp_path / "pictures", N)
    return tmp_path / "pictures"


def test_bad_pictures_and_ends_of_workers_cost_only_themselves(
    cluster: str, album: Path, tmp_path: Path
) -> None:
    """Written to Milvus, and yet every vector is the one of an ordinary run on this machine."""
    with relook.Library(tmp_path / "alone", encoder=ColourEncoder()) as alone:
        Image.new("RGB", (30, 30), KILLS_ONCE).save(album / "once.png")
        (album / "0003 copy.png").write_bytes((album / "0003.png").read_bytes())
        alone.add(album)
        expected = content_of(alone.files)
    Image.new("RGB", (30, 30), KILLS).save(album / "kills.png")
    Image.new("RGB", (30, 30), FAILS).save(album / "fails.png")
    (album / "garbage.jpg").write_bytes(b"not a picture")
    encoder = Fragile(tmp_path / "killed once")
    store = f"milvus://{tmp_path}/shared.db/pictures"
    with relook.Library(tmp_path / "shared", encoder=encoder, store=store) as library:
        report = library.add(album, ray=ONE_WORKER, settings=IndexSettings(commit_every=8))
        assert content_of(library.files) == expected
    assert report.n_added == N + 2
    assert report.n_duplicates == 1
    told = {Path(os.fsdecode(one.facts.path)).name: one for one in report.skipped}
    assert {name: one.code for name, one in told.items()} == {
        "garbage.jpg": "not_an_image", "fails.png": "worker_failed", "kills.png": "worker_failed"
    }  # fmt: skip
    assert told["fails.png"].message == "a worker failed on it: RuntimeError: four, five, six"
    assert told["kills.png"].message == "its worker ended 2 times, with this file alone"


def test_what_the_library_knows_is_treated_as_in_an_ordinary_run(
    cluster: str, album: Path, tmp_path: Path
) -> None:
    """Touched, moved, copied and changed files, and pictures with words in an archive."""
    told = []
    with (
        relook.Library(tmp_path / "alone", encoder=ColourEncoder()) as alone,
        relook.Library(tmp_path / "ray", encoder=ColourEncoder()) as library,
    ):
        for one in (alone, library):
            one.add(album)
        before = library.files.catalog.snapshot()
        os.utime(album / "0000.png", ns=(1, 1))
        (album / "0001.png").rename(album / "moved.png")
        (album / "copy.png").write_bytes((album / "0002.png").read_bytes())
        (album / "0003.png").write_bytes((album / "0004.png").read_bytes())
        (album / "gone.png").write_bytes(b"")
        picture = io.BytesIO()
        solid("white").save(picture, "PNG")
        words = {"1.png": picture.getvalue(), "1.txt": b"a white wall", "2.png": b"no picture"}
        write_zip(album / "more.zip", words)
        for one, ray in ((alone, None), (library, ONE_WORKER)):
            report = one.add(album, ray=ray, settings=IndexSettings(commit_every=2))
            counts = {key: n for key, n in report.as_dict().items() if key.startswith("n_")}
            told.append((counts, [(file.facts, file.code) for file in report.skipped]))
        assert told[0] == told[1]
        assert told[1][0]["n_moved"] == told[1][0]["n_updated"] == 1
        assert content_of(library.files) == content_of(alone.files)
        assert "a white wall" in {one.caption for one in library.files.catalog.each_image()}
        # Nothing but the new picture, its copies and the changed one has new rows.
        assert library.files.catalog.end_row() - before.end_row == 3 * 5


DRIVER = """
import sys, relook
from relook.core.settings import IndexSettings, RaySettings
from relook.testing import ColourEncoder
ray = RaySettings(address=sys.argv[3], workers=1, shard=4, cpus=0.5)
with relook.Library(sys.argv[1], encoder=ColourEncoder()) as library:
    tell = lambda now: print(now.stage, now.done, flush=True)
    library.add(sys.argv[2], settings=IndexSettings(commit_every=4), ray=ray, progress=tell)
"""


def test_a_killed_driver_starts_again_and_does_what_is_missing(
    cluster: str, tmp_path: Path
) -> None:
    album, n = tmp_path / "pictures", 200
    many(album, n)
    command = [sys.executable, "-c", DRIVER, str(tmp_path / "library"), str(album), cluster]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("indexing "):
                process.kill()
    assert process.returncode == -signal.SIGKILL
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        n_kept = len(content_of(library.files))
        assert 4 <= n_kept < n
        report = library.add(album, ray=ONE_WORKER)
        assert (report.n_added, report.n_unchanged) == (n - n_kept, n_kept)
        with relook.Library(tmp_path / "alone", encoder=ColourEncoder()) as alone:
            alone.add(album)
            assert content_of(library.files) == content_of(alone.files)


def test_a_worker_with_another_encoder_is_refused(album: Path) -> None:
    digest = ColourEncoder("1").fingerprint.digest
    with pytest.raises(EncoderMismatchError, match="a worker opened colour 2"):
        EncodeShard(lambda: ColourEncoder("2"), ImageLimits(), digest)


def test_a_shard_is_read_encoded_and_told_in_plain_columns(album: Path) -> None:
    Image.new("RGB", (30, 30), FAILS).save(album / "fails.png")
    (album / "nothing.png").touch()
    (album / "0000.png.json").write_text("{cut")
    encoder = Fragile(album / "none")
    files = {
        os.fsencode(path): FileFacts(os.fsencode(path), path.stat().st_size, 7)
        for path in (album / "0000.png", album / "fails.png", album / "nothing.png")
    }
    lines = as_facts(list(files.values()))
    work = EncodeShard(lambda: encoder, ImageLimits(), encoder.fingerprint.digest)
    found = outcomes(work({key: [line[key] for line in lines] for key in lines[0]}), files, 16)
    good, fails, nothing = found
    assert isinstance(good, Read)
    assert good.record is not None
    assert good.record.facts == good.facts == files[os.fsencode(album / "0000.png")]
    assert list(good.beside.unread) == [str(album / "0000.png.json")]
    assert good.tiles is not None
    assert good.tiles.shape == (5, 16)
    assert isinstance(fails, SkippedFile)
    assert isinstance(nothing, SkippedFile)
    assert (fails.code, nothing.code) == ("worker_failed", "empty_file")


def test_no_cluster_at_the_address(tmp_path: Path, album: Path) -> None:
    program = (
        "import sys, relook; from relook.cli.main import main;"
        "sys.exit(main(['index', sys.argv[1], '--library', sys.argv[2], '--ray', 'nowhere:x']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(album), str(tmp_path / "library")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "error[no_cluster]: no Ray cluster answers at 'nowhere:x'" in done.stderr
    assert "--ray local" in done.stderr
    assert "lacks the token" in done.stderr
    assert ClusterError.__mro__[1] is relook.RelookError


class Losing(RayWorkers):
    """Workers that lose every shard of a file until it is tried in one that is small enough.

    Args:
        most: Largest shard that a file comes through in, by path; 0 for never.
    """

    def __init__(self, most: dict[bytes, int]) -> None:
        encoder = ColourEncoder()
        plan = RayPlan(lambda: encoder, shard=256)
        super().__init__(plan, encoder.fingerprint, ImageLimits())
        self.most, self.tries = most, list[tuple[int, int]]()

    def _tried(self, files: Sequence[FileFacts], shard: int) -> Iterator[SkippedFile]:
        self.tries.append((shard, len(files)))
        for facts in files:
            if self.most[facts.path] >= shard:
                yield SkippedFile(facts, "empty_file", "")


def test_what_a_lost_node_had_is_tried_in_smaller_shards_before_one_by_one() -> None:
    sizes = [256] * 300 + [16] * 200 + [1] + [0]
    most = {b"/%d.png" % number: size for number, size in enumerate(sizes)}
    workers = Losing(most)
    made = list(workers._from_workers([FileFacts(path, 1, 1) for path in most]))
    assert sorted(one.facts.path for one in made) == sorted(most)
    assert workers.tries == [(256, 502), (16, 202), (1, 2), (1, 1)]
    assert [one.facts.path for one in made if one.code == "worker_failed"] == [b"/501.png"]  # type: ignore[union-attr]
