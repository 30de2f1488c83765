"""What indexing will take is told before anything of it starts, and nothing is changed by that."""

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

import relook
from relook.app import forecast as module
from relook.app.forecast import Forecast, forecast
from relook.app.indexing import AddOptions
from relook.cli.main import main
from relook.core.errors import InputError, NotFoundError
from relook.core.progress import Progress
from relook.core.settings import SearchSettings
from relook.library.commit import n_bytes_of
from relook.testing import ColourEncoder, noise


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(40):
        noise(seed, 32, 24).save(folder / f"{seed}.png")
    return folder


def asked(
    library: relook.Library, *paths: Path, n_new: int | None = None, **options: object
) -> Forecast:
    return forecast(library, paths, AddOptions(**options), n_new)  # type: ignore[arg-type]


def test_nothing_is_made_and_everything_is_counted(tmp_path: Path, pictures: Path) -> None:
    heard: list[Progress] = []
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        made = asked(library, pictures, progress=heard.append)
        assert not (tmp_path / "library").exists()
        library.add(pictures)
        n_rows, dim = len(library.files.vectors), library.files.manifest.fingerprint.dim
        n_bytes = n_bytes_of(library.files.catalog)
    assert (made.n_listed, made.n_new, made.n_images, made.n_measured) == (40, 40, 40, 40)
    assert made.vectors_bytes == n_rows * dim * 2
    assert made.images_per_s > 0
    assert made.encoding_s == pytest.approx(40 / made.images_per_s)
    assert (made.index_kind, made.index_s, made.index_bytes) == ("exact", 0.0, 0)
    assert made.catalog_bytes == pytest.approx(2 * n_bytes, rel=0.2)  # its copy, too
    assert {now.stage for now in heard} >= {"measuring"}
    assert "indexing" not in {now.stage for now in heard}  # nobody thinks that it has begun


def test_pages_that_are_not_full_are_not_taken_for_full_ones(tmp_path: Path) -> None:
    """A few pictures tell what hundreds take in a catalog, though they fill no page."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(400):
        Image.new("RGB", (8, 8), (number % 256, number // 256, 7)).save(folder / f"{number}.png")
    few = [folder / f"{number}.png" for number in range(8)]
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        made = asked(library, *few, n_new=400)
        library.add(folder)
        n_bytes = n_bytes_of(library.files.catalog)
    assert made.catalog_bytes == pytest.approx(2 * n_bytes, rel=0.2)


def test_processor_and_memory_of_a_run_are_told(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    used_s = iter(range(1000))
    monkeypatch.setattr(module.time, "process_time", lambda: float(next(used_s)))
    monkeypatch.setattr(module, "_peak_bytes", lambda: 300_000_000)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        one, ten = (asked(library, pictures, n_new=n) for n in (1000, 10_000))
    assert one.processor_s > 0
    assert ten.processor_s == pytest.approx(10 * one.processor_s, rel=0.5)
    assert (one.running_bytes, ten.running_bytes) == (300_048_000, 300_480_000)


def test_only_what_is_new_counts(tmp_path: Path, pictures: Path) -> None:
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(pictures)
        before = library.files.catalog.counter("generation")
        assert asked(library).n_new == 0
        assert asked(library).seconds == 0
        noise(99).save(pictures / "new.png")
        noise(98).save(pictures / "0.png")  # changed
        (pictures / "broken.jpg").write_text("no picture")
        made = asked(library)
        assert (made.n_listed, made.n_new, made.n_measured, made.n_unreadable) == (42, 3, 2, 1)
        assert made.n_images == 40 + 2
        assert library.files.catalog.counter("generation") == before
        library.add()
        assert asked(library).n_new == 0  # what was skipped is not tried again


def test_archives_count_what_is_in_them(tmp_path: Path, pictures: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for file in sorted(pictures.iterdir())[:7]:
            archive.write(file, file.name)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        made = asked(library, tmp_path / "a.zip")
        assert (made.n_listed, made.n_new, made.n_measured) == (1, 7, 7)
        library.add(tmp_path / "a.zip")
        assert asked(library).n_new == 0
        (tmp_path / "b.zip").write_bytes(b"no archive")
        with pytest.raises(InputError) as caught:
            asked(library, tmp_path / "b.zip", n_new=5)
        assert caught.value.code == "nothing_to_measure"


def test_as_if_there_were_many(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_products_per_s", lambda plan: (1e11, 2.0))
    with relook.Library(
        tmp_path / "library", encoder=ColourEncoder(), search=SearchSettings(index_kind="sq8")
    ) as library:
        one, ten = (asked(library, pictures, n_new=n) for n in (10**7, 10**8))
    assert (one.n_new, ten.n_images, one.n_measured) == (10**7, 10**8, 40)
    assert one.index_kind == "sq8"
    for name in ("vectors_bytes", "catalog_bytes", "searching_bytes"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name), rel=1e-3)
    assert ten.running_bytes - one.running_bytes == pytest.approx(9 * 48 * 10**7, rel=0.1)
    assert one.encoding_s == pytest.approx(10**7 / one.images_per_s)
    assert 8 < ten.index_s / one.index_s < 10  # both have as many lists as there may be
    assert one.index_bytes > one.vectors_bytes / 2
    assert one.building_bytes > 0


def test_measuring_ends_in_time(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MEASURED_S", 0.0)
    monkeypatch.setattr(module, "_FIRST", 4)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        made = asked(library, pictures)
    assert 4 < made.n_measured < 40
    assert (made.n_new, made.n_images) == (40, 40)


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        with pytest.raises(NotFoundError):
            asked(library, tmp_path / "nowhere")
        with pytest.raises(NotFoundError, match="nothing has been indexed yet"):
            asked(library)


def test_the_command_says_it(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["index", str(pictures), "--library", str(tmp_path / "library"), "--plan"]
    assert main([*place, "--as-if", "1000000", "--hourly", "2.5"]) == 0
    told = capsys.readouterr().out
    assert "1,000,000 new pictures, 1,000,000 in the library then (measured on 40 of them)" in told
    assert [line.split()[0] for line in told.splitlines()[1:]] == ["time", "disk", "memory", "cost"]
    assert main([*place, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["n_new"], made["index_kind"]) == (40, "exact")
    assert made["seconds"] == pytest.approx(made["encoding_s"] + made["index_s"])
    assert not (tmp_path / "library").exists()
    assert main([*place, "--watch"]) == 2
    assert main(["index", str(pictures), "--as-if", "3"]) == 2


def test_an_index_that_is_there_only_grows(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_products_per_s", lambda plan: (1e6, 1.0))
    small = SearchSettings(exact_rows=20)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder(), search=small) as library:
        whole = asked(library, pictures)
        library.add(pictures)
        nothing = asked(library)
        noise(99).save(pictures / "new.png")
        grown = asked(library)
    assert whole.index_kind == grown.index_kind != "exact"
    assert (nothing.index_s, nothing.seconds) == (0.0, 0.0)
    assert 0 < grown.index_s < whole.index_s / 10
    assert nothing.catalog_bytes > 0


def test_ctrl_c_ends_it(tmp_path: Path, pictures: Path) -> None:
    def interrupt(now: Progress) -> None:
        if now.stage == "measuring":
            raise KeyboardInterrupt

    with (
        relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library,
        pytest.raises(KeyboardInterrupt),
    ):
        asked(library, pictures, progress=interrupt)


def test_a_limit_of_memory_is_told_before(tmp_path: Path, pictures: Path) -> None:
    limit = SearchSettings(memory_mib=1)
    with (
        relook.Library(tmp_path / "library", encoder=ColourEncoder(), search=limit) as library,
        pytest.raises(InputError) as caught,
    ):
        asked(library, pictures, n_new=10**8)
    assert caught.value.code == "memory_limit"
