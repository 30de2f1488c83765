"""Words that are not English, as far as script and small words show it."""

from pathlib import Path

import pytest

import relook
from relook.core.words import is_foreign, words_of
from relook.testing import ColourEncoder


@pytest.mark.parametrize(
    "text",
    ["ein Hund auf der Wiese", "犬が走る", "собака", "un chien dans la neige", "كلب", "een hond"],
)
def test_other_languages_are_seen(text: str) -> None:
    assert is_foreign(words_of(text))


@pytest.mark.parametrize(
    "text",
    ["a dog", "", "2024", "!?", "naïve café", "Las Vegas", "the das boot in a museum", "IMG_2041"],
)
def test_english_and_what_nobody_can_tell_pass(text: str) -> None:
    assert not is_foreign(words_of(text))


def test_a_library_whose_model_reads_english_says_so(pictures: Path, tmp_path: Path) -> None:
    with relook.Library(tmp_path / "lib") as library:
        library.add(pictures)
        assert library.info()["languages"] == "English"
        notes = library.search("ein roter Ball auf der Wiese").notes
        assert any("not in English" in note for note in notes)
        assert not any("English" in note for note in library.search("a red ball").notes)
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as library:
        library.add(pictures)
        assert not library.search("ein roter Ball auf der Wiese").notes
