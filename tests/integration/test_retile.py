"""Vectors that are kept: VisualReF's own files of a CLIP, and a library with other tiles."""

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pytest
from library_parts import many
from PIL import Image

import relook
from relook.app.exchange import import_faiss, retile, whole_pictures
from relook.core.errors import InputError
from relook.core.progress import Progress
from relook.core.types import Box, WrittenWord
from relook.encoders.towers import TwoTowers
from relook.exchange.export import tiles_of
from relook.library.report import Stop
from relook.library.text_table import TextTable
from relook.readers import TextLine
from relook.testing.checkpoints import tiny_clip

N = 70


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    many(tmp_path / "album", N)
    return tmp_path / "album"


def tiles(library: relook.Library) -> list[np.ndarray]:
    return [tiles_of(library.files, image) for image in library.files.catalog.each_image()]


@pytest.fixture
def made(tmp_path: Path, clip: Path, album: Path) -> Iterator[dict[str, relook.Library]]:
    """Libraries of the album, each tiling indexed in the usual way."""
    made = {}
    for name in ("none", "grid"):
        made[name] = relook.Library(tmp_path / name, encoder=f"hf:{clip}?tiles={name}")
        made[name].add(album)
    yield made
    for library in made.values():
        library.close()


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many crops each call has encoded."""
    counted: list[int] = []
    encode = TwoTowers.encode_prepared
    monkeypatch.setattr(
        TwoTowers, "encode_prepared",
        lambda self, prepared: counted.append(sum(map(len, prepared))) or encode(self, prepared),
    )  # fmt: skip
    return counted


@pytest.mark.parametrize(("old", "new", "n_crops"), [("none", "grid", 4 * N), ("grid", "none", 0)])
def test_only_crops_are_encoded(
    made: dict[str, relook.Library], encoded: list[int], tmp_path: Path, old: str, new: str,
    n_crops: int,
) -> None:  # fmt: skip
    report = retile(made[old], tmp_path / "new", new)
    assert (report.n_added, report.skipped) == (N, [])
    assert sum(encoded) == n_crops
    with relook.Library(tmp_path / "new") as library:
        for ours, wanted, kept in zip(
            tiles(library), tiles(made[new]), tiles(made[old]), strict=True
        ):
            np.testing.assert_array_equal(ours[0], kept[0])
            np.testing.assert_allclose(ours, wanted, atol=2e-3)
        assert library.add().n_unchanged == N  # the folder is remembered, the tiling too
        assert f"tiles={new}" in library.files.manifest.encoder


def test_a_copy_that_stops_goes_on_and_changed_files_are_told(
    made: dict[str, relook.Library], album: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (20, 20)).save(album / "0001.png")
    (album / "0002.png").unlink()

    def stop(progress: Progress) -> None:
        raise Stop

    assert retile(made["none"], tmp_path / "new", "grid", stop).interrupted
    report = retile(made["none"], tmp_path / "new", "grid")
    assert (report.n_unchanged, report.n_images) == (62, N - 2)
    with relook.Library(tmp_path / "new") as library:
        told = {file.facts.path[-8:]: file.code for file in library.files.catalog.skipped()}
    assert told == {b"0001.png": "changed", b"0002.png": "vanished"}


def test_tiles_of_the_builtin_encoder_cannot_be_chosen(tmp_path: Path) -> None:
    many(tmp_path / "few", 1)
    with relook.Library(tmp_path / "library") as library:
        library.add(tmp_path / "few")
        with pytest.raises(InputError, match="the tiles of 'builtin' are part of it"):
            retile(library, tmp_path / "new", "grid")
    assert not (tmp_path / "new").exists()


def test_files_as_visualref_computes_them(clip: Path, album: Path, tmp_path: Path) -> None:
    """Transformers' own processor and forward pass, normalised by FAISS, in glob order."""
    import torch
    from transformers import AutoImageProcessor, CLIPModel

    paths = sorted(album.iterdir(), reverse=True)
    model, processor = CLIPModel.from_pretrained(clip), AutoImageProcessor.from_pretrained(clip)
    with torch.no_grad():
        pixels = processor([Image.open(path) for path in paths], return_tensors="pt")
        found = model.get_image_features(**pixels)
        features = np.ascontiguousarray(getattr(found, "pooler_output", found).numpy())
    faiss.normalize_L2(features)
    index = faiss.IndexFlatIP(features.shape[1])
    index.add(features)
    (tmp_path / "theirs").mkdir()
    faiss.write_index(index, str(tmp_path / "theirs" / "image_index.faiss"))
    listed = "".join(f"{path}\n" for path in paths)
    (tmp_path / "theirs" / "image_paths.txt").write_text(listed)
    encoder = whole_pictures(f"hf:{clip}")
    with relook.Library(tmp_path / "library", encoder=encoder) as library:
        report = import_faiss(library, tmp_path / "theirs")
        assert (report.n_added, report.skipped) == (N, [])
        half = features.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(np.concatenate(tiles(library)), half)
    with relook.Library(tmp_path / "library") as library:
        page = library.search("a photo", limit=3)
        words = library.engine.encoder.encode_texts(["a photo"])
        order = np.argsort(-(half @ words[0]), kind="stable")[:3]
        assert [hit.path for hit in page] == [paths[at] for at in order]


def test_words_in_pictures_come_along(
    made: dict[str, relook.Library], clip: Path, tmp_path: Path
) -> None:
    catalog = made["none"].files.catalog
    first = next(catalog.each_image()).content
    lines = [TextLine((WrittenWord("FARM", Box(0.1, 0.2, 0.4, 0.4)),))]
    TextTable(catalog).make()
    TextTable(catalog).put([(first, lines)], "test")
    report = retile(made["none"], tmp_path / "new", "grid")
    assert "the words in 1 picture came along" in report.notes
    with relook.Library(tmp_path / "new") as new:
        assert [hit.written[0].text for hit in new.search("text:farm")] == ["FARM"]


@pytest.mark.parametrize(
    ("new", "code"),
    [
        ("none", "same_library"), ("./album/../none/", "same_library"), ("link", "same_library"),
        ("none/grid", "in_library"), ("link/ann/grid", "in_library"), (".", "folder_in_use"),
    ],
)  # fmt: skip
def test_a_copy_is_apart_from_the_library(
    made: dict[str, relook.Library], tmp_path: Path, new: str, code: str
) -> None:
    """Nothing is written, in the library or beside it."""
    (tmp_path / "link").symlink_to(tmp_path / "none")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError) as raised:
        retile(made["none"], Path(f"{tmp_path}/{new}"), "grid")
    assert raised.value.code == code
    assert sorted(tmp_path.rglob("*")) == before


def test_no_new_library_is_made_in_anothers_folder(
    made: dict[str, relook.Library], tmp_path: Path, album: Path
) -> None:
    with (
        relook.Library(tmp_path / "none" / "other", encoder=made["none"].encoder) as inner,
        pytest.raises(InputError, match="is in the library") as raised,
    ):
        inner.add(album)
    assert raised.value.code == "in_library"
    assert not (tmp_path / "none" / "other").exists()
