"""What is left out, and what is not read: counted, told, and nothing a person made is lost."""

import json
import os
from pathlib import Path

import every_folder
import pytest
from archive_parts import picture, write_zip
from away_parts import marked
from camera_files import HEIC
from library_parts import ids
from typer.testing import CliRunner

import relook
from relook.cli.main import command_line
from relook.core.errors import InputError
from relook.core.settings import IndexSettings
from relook.library.left_out import LeftOut
from relook.library.tombstones import kept_contents
from relook.testing import noise, solid

PROGRAMS_OWN = (
    "$RECYCLE.BIN", "@eaDir", "System Volume Information", "node_modules/a", "#recycle",
    "Lib.photoslibrary/resources/derivatives/0", "Catalog Previews.lrdata/1", "lost+found",
)  # fmt: skip


def put(folder: Path, *names: str) -> None:
    """A picture of its own at each name."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(sum(name.encode())).save(folder / name)


def excluding(*patterns: str) -> IndexSettings:
    return IndexSettings(exclude=patterns)


def names_in(library: relook.Library, folder: Path) -> set[str]:
    records = library.files.catalog.each_image()
    return {os.path.relpath(os.fsdecode(record.facts.path), folder) for record in records}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    return tmp_path / "pictures"


def test_trash_and_thumbnails_are_left_out_and_counted(
    library: relook.Library, folder: Path
) -> None:
    put(folder, "kept/1.png", "Lib.photoslibrary/originals/2.png")
    put(folder, *(f"{name}/x.png" for name in PROGRAMS_OWN), "quiet/deep/3.png")
    (folder / "quiet" / ".nomedia").touch()

    report = library.add(folder)

    assert names_in(library, folder) == {"kept/1.png", "Lib.photoslibrary/originals/2.png"}
    assert sum(report.left_out.values()) == len(PROGRAMS_OWN) + 2
    assert report.left_out[".nomedia"] == 2
    assert any("10 files are left out" in note for note in report.notes)
    everything = library.add(folder, settings=IndexSettings(default_excludes=False))
    assert everything.n_images == len(PROGRAMS_OWN) + 3
    assert not everything.left_out


def test_a_named_folder_is_taken_whatever_it_is_called(
    library: relook.Library, tmp_path: Path
) -> None:
    put(tmp_path, "node_modules/1.png")
    (tmp_path / "node_modules" / ".nomedia").touch()

    assert library.add(tmp_path / "node_modules").n_added == 1


def test_relookignore_follows_the_rules_of_gitignore(library: relook.Library, folder: Path) -> None:
    put(folder, "a.png", "a.jpg", "drafts/b.png", "deep/drafts/c.png", "deep/c.jpg", "d/keep.jpg")
    put(folder, "node_modules/e.png", "one/drafts.png")
    (folder / ".relookignore").write_text("# mine\n*.jpg\n/drafts/\n!node_modules/\n")
    (folder / "d" / ".relookignore").write_text("!keep.jpg\n")

    library.add(folder)

    assert names_in(library, folder) == {
        "a.png", "deep/drafts/c.png", "d/keep.jpg", "node_modules/e.png", "one/drafts.png"
    }  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_rules_in_any_unicode(library: relook.Library, folder: Path, encoding: str) -> None:
    put(folder, "a.png", "K\u00f6ln/b.png", "private/c.png")
    (folder / ".relookignore").write_bytes("K\u00f6ln/\r\nprivate/\r\n".encode(encoding))

    report = library.add(folder)

    assert names_in(library, folder) == {"a.png"}
    assert not report.unlisted


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("private/\n".encode("utf-16-le"), "it is no text that can be read"),
        ("private/\n".encode("utf-16") + b"\0", "it is no text that can be read"),
        (b"# " + b"x" * 1024**2 + b"\nprivate/\n", "it has more than 1,048,576"),
        (b"!\n", "Invalid git pattern"),
        (None, "it is no plain file"),
    ],
)
def test_a_folder_whose_rules_cannot_be_read_is_not_looked_into(
    library: relook.Library, folder: Path, data: bytes | None, why: str
) -> None:
    """Nobody knows what they keep out. What is known of it stays as it is, with its marks."""
    put(folder, "a.png", "b/private/c.png")
    write_zip(folder / "b" / "e.zip", {"f.png": picture(noise(7))})
    library.add(folder)
    put(folder, "b/private/d.png")
    rules = folder / "b" / ".relookignore"
    os.mkfifo(rules) if data is None else rules.write_bytes(data)

    report = library.add(folder)

    assert (report.n_images, report.n_away, report.n_added) == (3, 0, 0)
    assert why in report.unlisted[bytes(folder / "b")]
    rules.unlink()
    assert library.add(folder).n_images == 4


def test_a_line_of_rules_in_an_old_encoding_is_told(library: relook.Library, folder: Path) -> None:
    put(folder, "a.png", "K\u00f6ln/b.png", "private/c.png")
    (folder / ".relookignore").write_bytes("private/\nK\u00f6ln/\n".encode("latin-1"))

    report = library.add(folder)

    assert report.n_images == 2  # what can be read of them holds
    assert ["line 2 of" in each for each in report.notes].count(True) == 1


def test_excluded_members_of_archives(library: relook.Library, folder: Path) -> None:
    write_zip(folder / "a.zip", {
        name: picture(noise(seed))
        for seed, name in enumerate(("in/1.png", "@eaDir/2.png", "raw/3.png"))
    })  # fmt: skip

    assert library.add(folder, settings=excluding("raw/")).n_images == 1
    assert library.add(folder).n_images == 2  # the archive is as it was; the rules are not


def test_what_becomes_left_out_goes_and_its_marks_come_back(
    library: relook.Library, folder: Path
) -> None:
    put(folder, "a.png", "drafts/b.png")
    solid("red").save(folder / "drafts" / "c.png")
    library.add(folder)
    session, before = marked(library, "c.png"), ids(library)

    report = library.add(folder, settings=excluding("drafts/"))

    assert (report.n_removed, report.n_away, report.n_images) == (2, 0, 1)
    kept = kept_contents(library.files.catalog.ask, [before["drafts/c.png"]])
    assert kept[before["drafts/c.png"]][1] == os.fsencode(folder / "drafts" / "c.png")
    assert library.add(folder).n_images == 3
    assert ids(library)["drafts/c.png"] == before["drafts/c.png"]
    assert [mark.image_id for mark in library.session(session.session_id).judgements] == [
        before["drafts/c.png"]
    ]


def test_a_pattern_that_is_none_is_an_error(library: relook.Library, folder: Path) -> None:
    put(folder, "a.png")

    with pytest.raises(InputError) as raised:
        library.add(folder, settings=excluding("!"))

    assert raised.value.code == "bad_pattern"


def test_a_folder_without_rules_is_not_matched_with_any() -> None:
    left_out = LeftOut()

    assert not left_out.is_left_out(left_out.at_root(b"/p"), b"/p/node_modules", is_folder=False)
    assert not left_out.has_patterns


def test_every_file_is_accounted_for(library: relook.Library, folder: Path) -> None:
    expected = every_folder.make(folder)

    report = library.add(folder)

    on_disk = [Path(at) / name for at, _, files in os.walk(folder) for name in files]
    not_hidden = [file for file in on_disk if file.name != ".relookignore"]
    n_others, n_left_out = sum(f.n for f in report.others), sum(report.left_out.values())
    counted = {"indexed": report.n_images, "skipped": len(report.skipped), "left_out": n_left_out}
    assert {**counted, "others": n_others, "archives": 3 + every_folder.N_VIDEOS} == expected
    n_in_archives = 3 + every_folder.N_SCENES
    accounted = report.n_images - n_in_archives + len(report.skipped) + n_left_out + n_others
    assert accounted + expected["archives"] == len(not_hidden)
    assert library.info()["others"] == [files.as_dict() for files in report.others]


def test_what_is_not_read_is_told_by_suffix(library: relook.Library, folder: Path) -> None:
    put(folder, "a.png")
    for name in ("b.wmv", "c.WMV", "d.psd", "e.txt", "noext"):
        (folder / name).touch()

    report = library.add(folder)

    assert {files.suffix: files.n for files in report.others} == {
        ".wmv": 2, ".psd": 1, ".txt": 1, "": 1
    }  # fmt: skip
    note = next(note for note in report.notes if note.startswith("not read"))
    assert "2 .wmv (videos" in note
    assert "and 2 other files" in note
    (folder / "b.wmv").unlink()
    assert {f["suffix"]: f["n"] for f in _others_after(library)}[".wmv"] == 1


def _others_after(library: relook.Library) -> list[dict]:
    library.add()
    return library.info()["others"]


def test_a_suffix_that_lies_is_told(library: relook.Library, folder: Path) -> None:
    put(folder, "right.png")
    (folder / "lie.jpg").write_bytes((folder / "right.png").read_bytes()[:-1] + b"\x82")
    noise(5).save(folder / "other.png", "JPEG")
    (folder / "phone.jpg").write_bytes(HEIC)

    report = library.add(folder)

    [note] = [note for note in report.notes if "suffix" in note]
    assert "phone.jpg is HEIF" in note
    assert "other.png is JPEG" in note
    assert "right.png" not in note


def test_the_command_says_it(tmp_path: Path, folder: Path) -> None:
    put(folder, "a.png", "b/c.png", "@eaDir/d.png")
    (folder / "film.wmv").touch()
    run, place = CliRunner(), ["--library", str(tmp_path / "library")]

    done = run.invoke(command_line(), ["index", str(folder), *place, "--exclude", "b/", "--json"])
    facts = run.invoke(command_line(), ["info", *place])

    report = json.loads(done.stdout)
    assert done.exit_code == 0
    assert (report["n_added"], report["left_out"]) == (1, {"@eaDir": 1, "exclude": 1})
    assert report["others"][0]["suffix"] == ".wmv"
    assert "1 .wmv (videos" in facts.stderr
