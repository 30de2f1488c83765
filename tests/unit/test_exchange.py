"""The files of other programs: FAISS's flat index byte for byte, and the exports."""

import io
import json
import os
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
import pytest

import relook
from relook.core.errors import InputError
from relook.exchange import export
from relook.exchange.export import tiles_of
from relook.exchange.flat_index import FlatFile, FlatWriter
from relook.testing import ColourEncoder, noise, solid


def rows(n: int, dim: int = 5, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_flat_index_is_the_one_that_faiss_writes(tmp_path: Path, n: int) -> None:
    index = faiss.IndexFlatIP(5)
    index.add(rows(n))
    faiss.write_index(index, str(tmp_path / "theirs"))
    with FlatWriter(tmp_path / "ours", 5) as writer:
        writer.append(rows(n)[:3])
        writer.append(rows(n)[3:])
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    read = FlatFile(tmp_path / "theirs")
    assert (len(read), read.dim) == (n, 5)
    np.testing.assert_array_equal(read.block(0, n), rows(n))
    np.testing.assert_array_equal(read.block(1, 2), rows(n)[1:2])


def test_an_l2_index_is_read_too(tmp_path: Path) -> None:
    index = faiss.IndexFlatL2(5)
    index.add(rows(2))
    faiss.write_index(index, str(tmp_path / "l2"))
    np.testing.assert_array_equal(FlatFile(tmp_path / "l2").block(0, 2), rows(2))


@pytest.mark.parametrize("kind", ["HNSW8", "IVF1,Flat", "SQ8", "IDMap,Flat", "L2norm,Flat"])
def test_other_kinds_of_index_are_refused(tmp_path: Path, kind: str) -> None:
    index = faiss.index_factory(5, kind, faiss.METRIC_INNER_PRODUCT)
    index.train(rows(60))
    if kind.startswith("IDMap"):
        index.add_with_ids(rows(60), np.arange(60))
    else:
        index.add(rows(60))
    faiss.write_index(index, str(tmp_path / "other"))
    with pytest.raises(InputError, match="no flat FAISS index") as raised:
        FlatFile(tmp_path / "other")
    assert raised.value.code == "bad_faiss_file"


def _header(kind: bytes, dim: int, n: int, metric: int, n_floats: int) -> bytes:
    return struct.pack("<4siqqq?iq", kind, dim, n, 0, 0, True, metric, n_floats)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"IxFI", b"\x80\x04pickle" * 9,
        _header(b"IxFI", 5, 2, 0, 10),  # no rows behind it
        _header(b"IxFI", 5, 2, 0, 10) + bytes(41),  # one byte too many
        _header(b"IxFI", 5, 2, 0, 9) + bytes(36),  # says another count
        _header(b"IxFI", 5, 2, 1, 10) + bytes(40),  # says another metric
        _header(b"IxFI", 0, 0, 0, 0), _header(b"IxFI", -5, -2, 0, 10) + bytes(40),
        _header(b"IxFI", 5, 2**62, 0, 2**62 * 5 % 2**63),  # asks for all the memory there is
    ],
)  # fmt: skip
def test_a_file_that_lies_about_itself_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(InputError, match="no flat FAISS index"):
        FlatFile(tmp_path / "bad")


def test_a_file_that_is_not_there_is_no_matter_of_its_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file") as raised:
        FlatFile(tmp_path / "none")
    assert "folder that holds image_index.faiss" in raised.value.hint


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stack"), FlatWriter(tmp_path / "index", 5) as writer:
        writer.append(np.stack([]))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def library(tmp_path: Path) -> Iterator[relook.Library]:
    """Five pictures, one of them taken out again, with words on one."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for seed in range(4):
        noise(seed).save(pictures / f"{seed}.png")
    solid("red").save(pictures / "red.jpg")
    (tmp_path / "words.csv").write_text('path,title,n\npictures/2.png,"two, ""really""",4\n')
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as lib:
        lib.add(pictures, metadata=tmp_path / "words.csv")
        lib.forget(pictures / "1.png")
        yield lib


def whole(library: relook.Library) -> np.ndarray:
    images = library.files.catalog.each_image()
    return np.stack([tiles_of(library.files, image)[0] for image in images])


def test_faiss_has_the_whole_pictures_in_the_order_of_the_paths(
    library: relook.Library, tmp_path: Path
) -> None:
    report = export.export_faiss(library.files, tmp_path / "out")
    paths = (tmp_path / "out" / "image_paths.txt").read_text().splitlines()
    assert [Path(path).name for path in paths] == ["0.png", "2.png", "3.png", "red.jpg"]
    index = faiss.read_index(str(tmp_path / "out" / "image_index.faiss"))
    assert type(index) is faiss.IndexFlatIP
    np.testing.assert_array_equal(index.reconstruct_n(0, 4), whole(library))
    _, found = index.search(whole(library), 1)
    assert found[:, 0].tolist() == [0, 1, 2, 3]
    assert (report.n_images, report.left_out) == (4, [])
    with pytest.raises(InputError, match="holds an export already"):
        export.export_faiss(library.files, tmp_path / "out")


def test_a_name_with_a_line_break_is_left_out_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for seed, name in enumerate([b"a.png", b"b\nb.png", b"c\xff.png"]):
        noise(seed).save(os.fsdecode(bytes(tmp_path / "pictures") + b"/" + name))
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as lib:
        lib.add(tmp_path / "pictures")
        report = export.export_faiss(lib.files, tmp_path / "out")
        kept = whole(lib)[[0, 2]]
    lines = (tmp_path / "out" / "image_paths.txt").read_bytes().splitlines()
    assert [line.rsplit(b"/")[-1] for line in lines] == [b"a.png", b"c\xff.png"]
    np.testing.assert_array_equal(FlatFile(tmp_path / "out/image_index.faiss").block(0, 9), kept)
    assert report.n_images == 2
    assert report.left_out[0].path.endswith("b\nb.png")


def test_npy_and_its_lines(library: relook.Library, tmp_path: Path) -> None:
    export.export_npy(library.files, tmp_path / "out")
    vectors = np.load(tmp_path / "out" / "vectors.npy", allow_pickle=False)
    assert vectors.dtype == np.float16
    np.testing.assert_array_equal(vectors.astype(np.float32), whole(library))
    lines = [json.loads(x) for x in (tmp_path / "out" / "images.jsonl").read_text().splitlines()]
    assert [line["image_id"] for line in lines] == [1, 3, 4, 5]
    assert lines[1]["title"] == 'two, "really"'
    assert lines[1]["metadata"]["n"] == "4"
    assert (lines[3]["width_px"], lines[3]["height_px"]) == solid("red").size


def test_the_head_of_an_npy_file_has_one_length(tmp_path: Path) -> None:
    sizes = set()
    for n in (0, 1, 10**12):
        with open(tmp_path / "head", "wb") as file:
            export._npy_header(file, n, 768)
            sizes.add(file.tell())
    assert len(sizes) == 1


def test_parquet(library: relook.Library, tmp_path: Path) -> None:
    export.export_parquet(library.files, tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "images.parquet")
    assert table["image_id"].to_pylist() == [1, 3, 4, 5]
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), whole(library))
    assert json.loads(table["metadata"][1].as_py())["n"] == "4"


def test_webdataset_has_the_files_themselves(library: relook.Library, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "3.png").unlink()
    report = export.export_webdataset(library.files, tmp_path / "out", shard_images=2)
    assert [file.name for file in report.files] == ["shard-000000.tar", "shard-000001.tar"]
    with tarfile.open(report.files[0]) as tar:
        assert tar.getnames() == [
            "000000001.png", "000000001.json", "000000001.npy",
            "000000003.png", "000000003.json", "000000003.npy",
        ]  # fmt: skip
        picture = tar.extractfile("000000003.png")
        vector = tar.extractfile("000000003.npy")
        assert picture is not None
        assert vector is not None
        assert picture.read() == (tmp_path / "pictures" / "2.png").read_bytes()
        found = np.load(io.BytesIO(vector.read()), allow_pickle=False).astype(np.float32)
    np.testing.assert_array_equal(found, whole(library)[1])
    with tarfile.open(report.files[1]) as tar:
        assert tar.getnames() == ["000000005.jpg", "000000005.json", "000000005.npy"]
    assert report.n_images == 3
    assert [Path(image.path).name for image in report.left_out] == ["3.png"]
