"""`relook dataset` against a local server: plan, fetch, unpack, metadata, index."""

import csv
import dataclasses
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from file_server import Served, serving

import relook
from relook.cli import dataset as command
from relook.cli.main import main
from relook.core.download import open_client
from relook.core.errors import InputError, StorageError
from relook.datasets import obtain as fetching
from relook.datasets.catalogue import COCO, RETAIL, Archive, Dataset
from relook.testing import noise

NOTES = {
    "images": [{"id": 1, "file_name": "1.jpg"}],
    "annotations": [{"image_id": 1, "caption": "noise on a wall"}],
}


def zipped(members: dict[str, bytes]) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return data.getvalue()


def jpeg(seed: int) -> bytes:
    data = io.BytesIO()
    noise(seed).save(data, "JPEG")
    return data.getvalue()


def archive(served: Served, name: str, members: dict[str, bytes], **more: object) -> Archive:
    data = zipped(members)
    served.pages[f"/{name}"] = data
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return Archive(f"{served.address}/{name}", name, len(data), md5, **more)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served()) as found:
        yield found


@pytest.fixture
def coco(served: Served, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """A COCO of three pictures, as the command sees it."""
    pictures = {f"val2017/{n}.jpg": jpeg(n) for n in (1, 2, 3)}
    notes = {
        "annotations/captions_val2017.json": json.dumps(NOTES).encode(),
        "annotations/person_keypoints_val2017.json": b"large",
    }
    made = dataclasses.replace(
        COCO["val2017"],
        archives=(
            archive(served, "val2017.zip", pictures, keep=("val2017/",)),
            archive(served, "notes.zip", notes, keep=("annotations/captions_",)),
        ),
        metadata=("annotations/captions_val2017.json",),
    )
    monkeypatch.setattr(command, "COCO", {"val2017": made})
    return made


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "config"))

    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


Run = Callable[..., tuple[int, str, str]]


def test_nothing_is_fetched_before_somebody_agrees(coco: Dataset, served: Served, run: Run) -> None:
    code, out, err = run("dataset", "coco", "data")
    assert (code, out) == (1, "")
    assert "val2017.zip  (size and MD5 checked)" in err
    assert "CC BY 4.0" in err
    assert "error[not_agreed]" in err
    assert served.asked == []
    assert not Path("data").exists()


def test_one_command_fetches_unpacks_and_says_how_to_index(
    coco: Dataset, served: Served, run: Run
) -> None:
    code, out, _ = run("dataset", "coco", "data", "--split", "val2017", "--yes")
    assert code == 0
    line = out.splitlines()[-1].strip()
    assert line == (
        "relook index data/val2017 --library coco-val2017.relook"
        " --metadata data/annotations/captions_val2017.json"
    )
    found = sorted(str(path) for path in Path("data").rglob("*") if path.is_file())
    assert found == [
        "data/.relook-dataset.json", "data/annotations/captions_val2017.json",
        *(f"data/val2017/{n}.jpg" for n in (1, 2, 3)),
    ]  # fmt: skip
    assert run(*line.split()[1:])[0] == 0
    with relook.Library("coco-val2017.relook") as library:
        (image,) = [i for i in library.files.catalog.each_image() if i.path.name == "1.jpg"]
        assert image.caption == "noise on a wall"
    n_asked = len(served.asked)
    assert run("dataset", "coco", "data")[0] == 0  # done: nothing to ask, nothing to fetch
    assert len(served.asked) == n_asked


def test_index_runs_that_command_itself(coco: Dataset, run: Run) -> None:
    code, out, _ = run("dataset", "coco", "data", "--yes", "--keep", "--index", "lib")
    assert code == 0
    assert "added 3" in out
    assert Path("data/val2017.zip").exists()
    assert main(["search", "noise", "--library", "lib"]) == 0


def test_a_half_unpacked_folder_goes_on(coco: Dataset, served: Served, run: Run) -> None:
    notes = served.pages.pop("/notes.zip")
    code, _, err = run("dataset", "coco", "data", "--yes", "--json")
    assert code == 1
    assert Path("data/val2017/3.jpg").exists()
    assert not Path("data/val2017.zip").exists()
    Path("data/val2017/3.jpg").unlink()  # after it was unpacked: it is the person's own
    served.pages["/notes.zip"] = notes
    code, out, err = run("dataset", "coco", "data", "--yes", "--json")
    assert (code, json.loads(out)["dataset"]) == (0, "coco-val2017"), err
    assert [asked["path"] for asked in served.asked][-1] == "/notes.zip"


def test_a_folder_that_is_none_and_a_record_that_is_damaged(coco: Dataset, run: Run) -> None:
    Path("file").write_text("x")
    assert "error[folder_in_use]" in run("dataset", "coco", "file", "--yes")[2]
    Path("data").mkdir()
    Path("data/.relook-dataset.json").write_text("{")
    assert "error[bad_dataset_folder]" in run("dataset", "coco", "data", "--yes")[2]


def test_no_room(
    coco: Dataset, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Usage:
        free = 1000

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    with open_client() as client, pytest.raises(StorageError, match="needs up to") as raised:
        fetching.plan(coco, tmp_path / "data", client)
    assert raised.value.code == "no_space"
    assert served.asked == []


def test_a_malicious_archive_writes_nothing(
    coco: Dataset, served: Served, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evil = archive(served, "val2017.zip", {"val2017/a.jpg": b"x", "val2017/../../evil": b"x"})
    bad = dataclasses.replace(coco, archives=(evil,))
    monkeypatch.setattr(command, "COCO", {"val2017": bad})
    code, _, err = run("dataset", "coco", "data", "--yes")
    assert code == 1
    assert "error[bad_archive]" in err
    assert "leads out of the folder" in err
    assert not (tmp_path / "evil").exists()
    assert not Path("data/val2017").exists()


def test_a_split_that_there_is_not(run: Run) -> None:
    code, _, err = run("dataset", "coco", "data", "--split", "val2018", "--yes")
    assert code == 1
    assert "there are: train2014, val2014, test2014, val2017" in err


def test_retail_comes_with_its_labels(
    served: Served, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {
        "retail-786k_256/train/e7/a.jpg": jpeg(1), "retail-786k_256/test/e7/b.jpg": jpeg(2),
        "retail-786k_256/test/e8/c.JPG": jpeg(3), "retail-786k_256/readme.txt": b"x",
    }  # fmt: skip
    made = archive(served, "retail-786k_256.zip", members)
    file = {
        "key": made.name, "size": made.n_bytes, "checksum": f"md5:{made.md5}",
        "links": {"self": made.url},
    }  # fmt: skip
    served.pages["/record"] = json.dumps({"files": [file]}).encode()
    record = dataclasses.replace(RETAIL[256], record=f"{served.address}/record")
    monkeypatch.setattr(command, "RETAIL", {256: record})
    code, _, err = run("dataset", "retail-786k", "data", "--yes", "--index", "lib")
    assert code == 0, err
    with open("data/retail-786k-labels.csv") as lines:
        assert list(csv.reader(lines)) == [
            ["path", "entity", "split"],
            ["retail-786k_256/train/e7/a.jpg", "e7", "train"],
            ["retail-786k_256/test/e7/b.jpg", "e7", "test"],
            ["retail-786k_256/test/e8/c.JPG", "e8", "test"],
        ]
    with relook.Library("lib") as library:
        page = library.search("noise", where={"entity": "e7"})
        assert sorted(hit.path.name for hit in page) == ["a.jpg", "b.jpg"]
    served.pages.clear()
    assert run("dataset", "retail-786k", "data")[0] == 0


def test_retail_of_another_layout_says_so(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(served, "r.zip", {"retail-786k_256/images/a.jpg": b"x"})
    plan = fetching.Plan(
        dataclasses.replace(RETAIL[256], archives=(made,)), tmp_path, (made,), 1, 1
    )
    with open_client() as client, pytest.raises(InputError, match="no pictures in train/ENTITY"):
        fetching.fetch(plan, client)
    assert not (tmp_path / "retail-786k-labels.csv").exists()


@pytest.mark.parametrize("split", COCO)
def test_what_is_known_of_coco_is_complete(split: str) -> None:
    for one in COCO[split].archives:
        assert one.url.startswith("https://")
        assert one.url.endswith(f"/{one.name}")
        assert one.n_bytes > 10**8
        assert len(bytes.fromhex(one.md5)) == 16
    assert COCO[split].pictures == split
