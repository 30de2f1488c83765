"""An empty path is an error wherever a path is taken: it is not the current folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cli_parts import INDEX, Run, plugin, run  # noqa: F401

import relook
from relook.core.errors import InputError

LIBRARY = Path("library")


@pytest.mark.parametrize(
    "command",
    [
        ("forget", ""), ("album", "remove", "Trip", ""), ("album", "add", "Trip", ""),
        ("index", ""), ("index", "", "--plan"), ("index", "pictures", ""), ("move", "", "pictures"),
        ("move", "pictures", ""), ("similar", ""), ("ask", ""), ("search", "--image", ""),
        ("search", "red", "--library", ""), ("export", "npy", "", "out"),
        ("export", "npy", "library", ""), ("album", "export", "Trip", "--to", ""),
    ],
)  # fmt: skip
def test_a_command_with_an_empty_path_does_nothing(
    run: Run, pictures: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert run(*INDEX, pictures)[0] == 0
    assert run("album", "add", "Trip", pictures / "red.png")[0] == 0
    before = sorted(tmp_path.iterdir())
    code, out, err = run(*command)
    assert (code, out) == (1, ""), err
    assert "error[bad_path]: a path is empty" in err
    with relook.Library(LIBRARY) as library:
        assert library.files.catalog.count("images") == len(list(pictures.rglob("*.png")))
        assert library.albums.get("Trip").n_images == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "call",
    [
        lambda library: library.add(""), lambda library: library.forget(""),
        lambda library: library.move("", "x"), lambda library: library.similar(""),
        lambda library: library.search("", images=[""]), lambda library: relook.Library(""),
    ],
)  # fmt: skip
def test_nor_does_a_call(
    library: relook.Library, pictures: Path, call: Callable[[relook.Library], object]
) -> None:
    library.add(pictures)
    with pytest.raises(InputError, match="a path is empty"):
        call(library)
