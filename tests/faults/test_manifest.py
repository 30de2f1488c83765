"""A library whose manifest is damaged, or gone: the catalog has a copy."""

from pathlib import Path

import pytest

from relook.app.upkeep import compact_library
from relook.core.errors import LibraryFormatError
from relook.library.check import check
from relook.library.repair import repair

from .check_parts import N, album, codes, library, opened, sql  # noqa: F401  (some are fixtures)
from .parts import assert_sound, stored, told


def test_the_manifest(library: Path) -> None:
    whole = (library / "manifest.json").read_bytes()
    (library / "manifest.json").write_text('{"format_version": 99}')
    report = repair(library)
    assert ([one.code for one in report.after.findings], report.done) == (["newer_format"], [])
    (library / "manifest.json").write_text("{")
    (library / "manifest.json.new").write_bytes(whole)
    assert told(repair(library).after) == []
    assert (library / "manifest.json").read_bytes() == whole


@pytest.mark.parametrize("harm", ["gone", "empty", "garbage"])
@pytest.mark.parametrize("catalog", ["sound", "compacted", "torn", "gone"])
def test_a_manifest_that_is_lost_is_made_again_from_the_catalogs_copy(
    library: Path, album: Path, harm: str, catalog: str
) -> None:
    """Or from that in the backup; there was no way back, and everything else was sound."""
    with opened(library) as one:
        if catalog == "compacted":
            one.forget(album / "0003.png")
            compact_library(one)
        assert one.files.backup.make() == ""
    whole, kept = (library / "manifest.json").read_bytes(), stored(library)
    (library / "manifest.json").unlink()
    if harm != "gone":
        (library / "manifest.json").write_text("" if harm == "empty" else "{")
    if catalog in ("torn", "gone"):
        for log in ("-wal", "-shm", ""):
            (library / f"catalog.sqlite3{log}").unlink(missing_ok=True)
    if catalog == "torn":
        (library / "catalog.sqlite3").write_text("this was a catalog " * 999)
    with pytest.raises(LibraryFormatError) as raised:
        opened(library)
    assert raised.value.code == "bad_manifest"
    assert "relook doctor --repair" in raised.value.hint
    [*_, finding] = sorted(check(library).findings, key=lambda finding: finding.code)
    assert (finding.code, finding.repair) == (
        "bad_manifest", "make it again from the copy that the catalog keeps",
    )  # fmt: skip
    mended = repair(library)
    assert mended.done[0] == "made manifest.json again from the copy that the catalog keeps"
    assert told(mended.after) == []
    assert (library / "manifest.json").read_bytes() == whole
    with opened(library) as one:
        assert one.add(album).n_added == (catalog == "compacted")
        assert len(one.sessions()) == 1
    assert kept.items() <= stored(library).items()
    assert_sound(library)


def test_what_to_do_about_a_manifest_of_which_there_is_no_copy(library: Path, album: Path) -> None:
    """As an older version left it; the next run of indexing makes the copy."""
    whole = (library / "manifest.json").read_bytes()
    sql(library, "DELETE FROM kept_manifest")
    (library / "backup.sqlite3").unlink()
    (library / "manifest.json").unlink()
    report = repair(library)
    assert report.done == []
    assert [one.code for one in report.after.findings] == ["bad_manifest"]
    assert "relook index PICTURE --library NEW" in report.after.findings[0].repair
    (library / "manifest.json").write_bytes(whole)
    with opened(library) as one:
        assert one.add(album).n_unchanged == N
    (library / "manifest.json").unlink()
    assert told(repair(library).after) == []
    assert (library / "manifest.json").read_bytes() == whole


def test_a_copy_that_another_encoder_made_is_not_used(library: Path) -> None:
    sql(library, "INSERT INTO counters VALUES ('encoder', 7)")
    (library / "manifest.json").unlink()
    assert [one.code for one in repair(library).after.findings] == ["bad_manifest"]
