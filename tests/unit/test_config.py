"""Settings from files and the environment: precedence, types, and what a mistake says."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from relook.core.config_file import load_config
from relook.core.errors import InputError
from relook.core.settings import EncoderSettings, SearchSettings, setting

SECTIONS = {
    "search": "relook.core.settings:SearchSettings",
    "encoder": "relook.core.settings:EncoderSettings",
    "odd": f"{__name__}:Odd",
}


@dataclass(frozen=True, slots=True)
class Odd:
    """One of each type."""

    names: tuple[str, ...] = setting((), "some names")
    folder: Path = setting(lambda: Path("made"), "a folder", shown="made up")
    ratio: float = setting(0.5, "a ratio", low=0)
    key: str | None = setting(None, "a key", secret=True)
    on: bool = setting(True, "a switch")


def load(files: list[Path], environ: dict[str, str] | None = None, **aliases: str) -> object:
    return load_config(SECTIONS, files, environ or {}, aliases)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_environment_wins_over_later_files_over_earlier_ones(tmp_path: Path) -> None:
    user = write(tmp_path / "user.toml", "[search]\nlimit = 5\nfold_bits = 1\nshortlist = 9\n")
    named = write(tmp_path / "named.toml", "[search]\nlimit = 6\nfold_bits = 2\n")
    config = load([user, named], {"RELOOK_SEARCH_LIMIT": "7"})
    assert config.settings(SearchSettings) == SearchSettings(limit=7, fold_bits=2, shortlist=9)
    told = {s.key: (v.value, v.source) for s, v in config.values()}
    assert told["search.limit"] == (7, "RELOOK_SEARCH_LIMIT")
    assert told["search.fold_bits"] == (2, str(named))
    assert told["search.shortlist"] == (9, str(user))
    assert told["search.fold"] == (True, "default")
    assert told["odd.folder"] == (Path("made"), "default")
    assert config.given("search.fold") is None


def test_every_type_from_a_file_and_from_the_environment(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.toml",
        '[odd]\nnames = ["a", "b"]\nfolder = "~/x"\nratio = 1\nkey = "k"\non = false\n',
    )
    wanted = Odd(("a", "b"), Path("~/x").expanduser(), 1.0, "k", False)
    assert load([file]).settings(Odd) == wanted
    said = {
        "RELOOK_ODD_NAMES": os.pathsep.join("ab"), "RELOOK_ODD_FOLDER": "~/x",
        "RELOOK_ODD_RATIO": "1", "RELOOK_ODD_KEY": "k", "RELOOK_ODD_ON": "Off",
    }  # fmt: skip
    assert load([], said).settings(Odd) == wanted
    assert load([], {"SHORT": "x", "RELOOK_ODD": "y"}).settings(Odd) == Odd()
    assert load([], {"RELOOK_KEY": "short"}, RELOOK_KEY="odd.key").settings(Odd).key == "short"


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("[serch]\nlimit = 3", "there is no section [serch]", "did you mean 'search'?"),
        ("[search]\nlimitt = 3", "[search] has no key 'limitt'", "did you mean 'limit'?"),
        ("[search]\nxyz = 3", "[search] has no key 'xyz'", "there are: limit, fold"),
        ("[search]\nlimit = 0", "search.limit is 0; it must be at least 1", "correct"),
        ("[search]\nlimit = true", "search.limit is True; it must be a whole number", "correct"),
        ("[search]\nlimit = 2.5", "search.limit is 2.5; it must be a whole number", "correct"),
        ("[search]\nfold = 1", "search.fold is 1; it must be true or false", "correct"),
        ('[search]\nfold_cosine = "x"', "search.fold_cosine is 'x'; it must be a num", "correct"),
        ('[odd]\nnames = "a"', "odd.names is 'a'; it must be a list of texts", "correct"),
        ("[odd]\nnames = [1]", "odd.names is [1]; it must be a list of texts", "correct"),
        ("[odd]\nkey = 3", "odd.key is (secret); it must be a text", "correct"),
        ('[encoder]\ntiles = "9"', "encoder.tiles is '9'; it must be one of '', 'none'", "corr"),
        ("search = 3", "search is a section", "write [search]"),
        ("limit = ", "is not TOML", "write it as"),
    ],
)
def test_a_mistake_says_what_is_right(tmp_path: Path, text: str, told: str, hint: str) -> None:
    file = write(tmp_path / "a.toml", text)
    with pytest.raises(InputError) as raised:
        load([file])
    assert raised.value.code == "bad_config"
    assert told in raised.value.message
    assert str(file) in raised.value.message
    assert hint in raised.value.hint


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    for text in ("x", "0", "1.5"):
        with pytest.raises(InputError, match=r"RELOOK_SEARCH_LIMIT: search\.limit is"):
            load([], {"RELOOK_SEARCH_LIMIT": text})
    with pytest.raises(InputError, match=r"RELOOK_ODD_ON: odd\.on is 'perhaps'"):
        load([], {"RELOOK_ODD_ON": "perhaps"})


def test_a_variable_that_begins_like_a_section_is_a_stranger_and_others_are_not() -> None:
    given = ("SEARCH_LIMITS", "SERCH_LIMIT", "CACHE", "SEARCH", "SERPAPI_KEY", "SEARXNG_URL")
    config = load([], {f"RELOOK_{name}": "3" for name in given})
    assert config.strangers == ("RELOOK_SEARCH_LIMITS", "RELOOK_SERCH_LIMIT")
    assert config.settings(SearchSettings) == SearchSettings()
    assert config.settings(EncoderSettings) == EncoderSettings()


def test_a_file_of_notepad_is_read_and_another_encoding_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes("[search]\nlimit = 3\n".encode("utf-8-sig"))
    assert load([file]).settings(SearchSettings).limit == 3
    file.write_bytes("[search]\nlimit = 3\n".encode("utf-16"))
    with pytest.raises(InputError, match="not in UTF-8") as raised:
        load([file])
    assert raised.value.hint == "save it in UTF-8"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for bad in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(InputError, match="cannot read"):
            load([bad])
    with pytest.raises(InputError, match="cannot read"):
        load([_binary(tmp_path / "c.toml")])
    with pytest.raises(InputError, match="larger than 1 MiB"):
        load([write(tmp_path / "d.toml", "#" * (1024**2 + 1))])


def _binary(path: Path) -> Path:
    path.write_bytes(b"\xff\xfe")
    return path
