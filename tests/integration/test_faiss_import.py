"""Libraries made of FAISS files: the same ids and vectors again, and what cannot be taken over."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
import pytest
from library_parts import many

import relook
from relook.app.exchange import import_faiss, whole_pictures
from relook.core.errors import EncoderMismatchError, InputError, NotFoundError
from relook.core.progress import Progress
from relook.core.types import WHOLE
from relook.encoders.base import encode_images
from relook.exchange.export import export_faiss, tiles_of
from relook.library.report import Stop
from relook.testing import ColourEncoder, noise

N = 40


@pytest.fixture
def album(tmp_path: Path) -> Path:
    many(tmp_path / "album" / "data", N)
    return tmp_path / "album"


@pytest.fixture
def exported(tmp_path: Path, album: Path) -> Path:
    """The FAISS files of a library of the album."""
    with relook.Library(tmp_path / "first", encoder=ColourEncoder()) as library:
        library.add(album)
        export_faiss(library.files, tmp_path / "faiss")
    return tmp_path / "faiss"


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], relook.Library]:
    return lambda: relook.Library(tmp_path / "second", encoder=ColourEncoder())


Fresh = Callable[[], relook.Library]


def vectors(library: relook.Library) -> np.ndarray:
    images = library.files.catalog.each_image()
    return np.stack([tiles_of(library.files, image)[0] for image in images])


def test_the_round_trip_is_exact(tmp_path: Path, exported: Path, fresh: Fresh) -> None:
    with fresh() as library, relook.Library(tmp_path / "first", encoder=ColourEncoder()) as first:
        report = import_faiss(library, exported)
        assert (report.n_added, report.n_images, report.skipped) == (N, N, [])
        np.testing.assert_array_equal(vectors(library), vectors(first))
        for ours, theirs in zip(
            library.files.catalog.each_image(), first.files.catalog.each_image(), strict=True
        ):
            assert (ours.image_id, ours.facts, ours.content) == (
                theirs.image_id, theirs.facts, theirs.content,
            )  # fmt: skip
            assert (ours.dhash, ours.width_px, ours.format) == (
                theirs.dhash, theirs.width_px, theirs.format,
            )  # fmt: skip
            assert library.files.tiling(ours.tiling_id) == (WHOLE,)
        export_faiss(library.files, tmp_path / "again")
    for name in ("image_index.faiss", "image_paths.txt"):
        assert (tmp_path / "again" / name).read_bytes() == (exported / name).read_bytes()


def test_nothing_is_encoded_but_the_few_that_are_compared(
    exported: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = ColourEncoder.encode_prepared
    monkeypatch.setattr(
        ColourEncoder, "encode_prepared",
        lambda self, prepared: encoded.append(len(prepared)) or encode(self, prepared),
    )  # fmt: skip
    with fresh() as library:
        import_faiss(library, exported)
    assert sum(encoded) == 4


def test_it_is_a_library_like_any_other(exported: Path, album: Path, fresh: Fresh) -> None:
    with fresh() as library:
        import_faiss(library, exported)
        page = library.similar(album / "data" / "0007.png", limit=1)
        assert page[0].path.name == "0007.png"
        noise(1000).save(album / "data" / "new.png")
        report = library.add(album)
        assert (report.n_added, report.n_unchanged) == (1, N)


def test_a_run_that_stops_goes_on(exported: Path, album: Path, fresh: Fresh) -> None:
    many(album / "data", 600)
    with relook.Library(album.parent / "big", encoder=ColourEncoder()) as big:
        big.add(album)
        export_faiss(big.files, album.parent / "faiss-big")

    def stop(progress: Progress) -> None:
        raise Stop

    with fresh() as library:
        report = import_faiss(library, album.parent / "faiss-big", progress=stop)
        assert report.interrupted
        assert report.n_added == 512
        report = import_faiss(library, album.parent / "faiss-big")
        assert (report.n_added, report.n_unchanged, report.n_images) == (88, 512, 600)


def test_missing_and_broken_pictures_are_listed(exported: Path, album: Path, fresh: Fresh) -> None:
    (album / "data" / "0003.png").unlink()
    (album / "data" / "0004.png").write_text("no picture")
    with fresh() as library:
        report = import_faiss(library, exported)
        assert report.n_added == N - 2
        told = {os.path.basename(file.facts.path): file.code for file in report.skipped}
        assert told == {b"0003.png": "vanished", b"0004.png": "not_an_image"}
        assert {file.code for file in library.files.catalog.skipped()} == set(told.values())
        kept = [i for i in range(N) if i not in (3, 4)]
        with relook.Library(album.parent / "first", encoder=ColourEncoder()) as first:
            np.testing.assert_array_equal(vectors(library), vectors(first)[kept])


def test_pictures_that_moved_are_found_below_the_root(
    tmp_path: Path, exported: Path, album: Path, fresh: Fresh
) -> None:
    shutil.move(album, tmp_path / "elsewhere")
    with fresh() as library:
        report = import_faiss(library, exported)
        assert report.n_added == 0
        assert "give --root FOLDER" in report.notes[0]
        report = import_faiss(library, exported, tmp_path / "elsewhere")
        assert report.n_added == N
        assert library.image(1).path == tmp_path / "elsewhere" / "data" / "0000.png"
        assert library.add().n_unchanged == N  # the root is remembered
        with pytest.raises(NotFoundError, match="there is no folder"):
            import_faiss(library, exported, tmp_path / "none")


def test_a_list_cannot_lead_out_of_the_root(tmp_path: Path, exported: Path, fresh: Fresh) -> None:
    noise(0).save(tmp_path / "secret.png")
    (tmp_path / "root" / "data").mkdir(parents=True)
    paths = exported / "image_paths.txt"
    lines = paths.read_text().splitlines()
    lines[0], lines[1] = "../secret.png", str(tmp_path / "secret.png")
    paths.write_text("\n".join(lines) + "\n")
    with fresh() as library:
        report = import_faiss(library, exported, tmp_path / "root")
        assert report.n_added == 0
        assert all(file.facts.path.startswith(bytes(tmp_path / "root")) for file in report.skipped)


def test_lengths_that_differ(exported: Path, fresh: Fresh) -> None:
    with open(exported / "image_paths.txt", "a") as file:
        file.write("one/more.png\n")
    library = fresh()
    with pytest.raises(InputError, match=r"names 41 pictures; .* holds 40 vectors") as raised:
        import_faiss(library, exported)
    assert raised.value.code == "length_mismatch"
    assert not library.folder.exists()


def test_vectors_of_another_model(exported: Path, fresh: Fresh) -> None:
    index = faiss.read_index(str(exported / "image_index.faiss"))
    other = faiss.IndexFlatIP(index.d)
    other.add(np.roll(index.reconstruct_n(0, N), 1, axis=1))
    faiss.write_index(other, str(exported / "image_index.faiss"))
    library = fresh()
    with pytest.raises(EncoderMismatchError, match="sees other things") as raised:
        import_faiss(library, exported)
    assert raised.value.code == "other_encoder"
    narrow = faiss.IndexFlatIP(3)
    narrow.add(np.ones((N, 3), np.float32))
    faiss.write_index(narrow, str(exported / "image_index.faiss"))
    with pytest.raises(EncoderMismatchError, match="vectors of 3 numbers"):
        import_faiss(library, exported)
    assert not library.folder.exists()


def test_rows_that_are_no_directions(exported: Path, album: Path, fresh: Fresh) -> None:
    index = faiss.read_index(str(exported / "image_index.faiss"))
    stored = index.reconstruct_n(0, N)
    stored[30], stored[31], stored[32] = 0.0, np.nan, 5 * stored[32]
    other = faiss.IndexFlatIP(index.d)
    other.add(stored)
    faiss.write_index(other, str(exported / "image_index.faiss"))
    with fresh() as library:
        report = import_faiss(library, exported)
        assert [file.code for file in report.skipped] == ["bad_vector"] * 2
        lengths = np.linalg.norm(vectors(library), axis=1)
        np.testing.assert_allclose(lengths, 1.0, atol=2e-3)


def test_a_list_of_visualref_relative_to_where_it_ran(
    exported: Path, album: Path, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (exported / "image_paths.txt").read_text().splitlines()
    relative = [os.path.relpath(line, album) for line in lines]
    (exported / "image_paths.txt").write_text("\r\n".join(relative) + "\r\n")
    monkeypatch.chdir(album)
    with fresh() as library:
        assert import_faiss(library, exported).n_added == N
        assert library.image(1).path == album / relative[0]


def test_a_list_that_is_none(exported: Path, fresh: Fresh) -> None:
    for bad in (b"a\0b\n", b"x" * 70_000):
        (exported / "image_paths.txt").write_bytes(bad)
        with pytest.raises(InputError) as raised:
            import_faiss(fresh(), exported)
        assert raised.value.code == "bad_paths_file"
    (exported / "image_paths.txt").unlink()
    with pytest.raises(InputError, match="cannot read"):
        import_faiss(fresh(), exported)


def test_imported_libraries_have_whole_pictures_only() -> None:
    assert whole_pictures("hf:openai/clip-vit-base-patch32?tiles=grid") == (
        "hf:openai/clip-vit-base-patch32?tiles=none"
    )
    assert whole_pictures("builtin") == "builtin"


def test_a_library_that_was_copied_keeps_its_vectors_when_the_pictures_move(
    tmp_path: Path, album: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    shutil.move(album, tmp_path / "elsewhere")
    monkeypatch.setattr(ColourEncoder, "encode_prepared", _never)
    with relook.Library(tmp_path / "copy", encoder=ColourEncoder()) as library:
        report = library.add(tmp_path / "elsewhere")
        # The old root is gone as a whole, so its images may be on an unplugged disk: the new
        # ones are copies of them, vectors included.
        assert report.n_moved + report.n_added == N
        page = library.search("red", limit=1, path="elsewhere")
        assert page[0].path.parts[-3] == "elsewhere"


def _never(self: object, prepared: list[object]) -> list[np.ndarray]:
    assert not prepared, "a known picture was encoded"
    return []


def test_the_comparison_uses_the_whole_picture() -> None:
    """What `encode_images` gives is what row 0 of a picture is."""
    image = noise(3)
    encoder = ColourEncoder()
    tiles = encoder.encode_prepared([encoder.prepare(image)])[0]
    np.testing.assert_array_equal(encode_images(encoder, [image])[0], tiles[0])
