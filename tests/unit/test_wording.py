"""Negation, mistyped words, other languages: what is told of, and what is left alone."""

import pytest

from relook.core.errors import QueryError
from relook.core.subject import names_nothing
from relook.core.types import Box, Part, Query
from relook.core.words import may_be_foreign, words_of
from relook.search.grammar import parse_query, suggestion
from relook.search.negation import (
    finds_others,
    negation_of,
    wanted_words,
    with_others,
)


@pytest.mark.parametrize(
    ("words", "wanted", "unwanted"),
    [
        ("a beach without people", "a beach", ("people",)),
        ("a street without lots of people", "a street", ("people",)),
        ("a park with not much grass, no hats", "a park", ("grass", "hats")),
        ("a beach without too many dogs and boats", "a beach", ("dogs", "boats")),
        ("a beach without a crowd of people", "a beach", ("people",)),
        ("a beach without a whole lot of people", "a beach", ("people",)),
        ("a street with no large number of cars", "a street", ("cars",)),
        ("a beach without so many, many of the people", "a beach", ("people",)),
        ("a beach without several people", "a beach", ("people",)),
        ("a beach without a crowd", "a beach", ("crowd",)),
        ("a beach without many-colored flags", "a beach", ("many-colored flags",)),
        ("a street with no cars", "a street", ("cars",)),
        ("no cars", "", ("cars",)),
        ("not red", "", ("red",)),
        ("car not red", "car", ("red",)),
        ("a car that is not red", "a car", ("red",)),
        ("a man without a hat on a beach", "a man on a beach", ("hat",)),
        ("dog but no leash", "dog", ("leash",)),
        ("a park without cars and people", "a park", ("cars", "people")),
        ("kitchen, no people", "kitchen", ("people",)),
        ("a dog that isn't black", "a dog", ("black",)),
        ("a dog that isn’t black", "a dog", ("black",)),  # noqa: RUF001
        ("beach except people", "beach", ("people",)),
        ("people not wearing hats", "people", ("hats",)),
        ("NO people in a park", "in a park", ("people",)),
        ("a square with nobody", "a square", ("people",)),
        ("a room without any furniture", "a room", ("furniture",)),
        ("a hill without trees, no houses", "a hill", ("trees", "houses")),
        ("dog but not on a beach", "dog", ("beach",)),
        ("a dog, not at night", "a dog", ("night",)),
        ("street devoid of cars", "street", ("cars",)),
        ("a street empty of people in the rain", "a street in the rain", ("people",)),
        ("a sky free of clouds", "a sky", ("clouds",)),
        ("a sky free from clouds", "a sky", ("clouds",)),
        ("a room lacking people", "a room", ("people",)),
        ("a room that lacks a window", "a room", ("window",)),
        ("neither cats nor dogs", "", ("cats", "dogs")),
        ("a garden with neither cats nor dogs", "a garden", ("cats", "dogs")),
        ("never a dog", "", ("dog",)),
        ("a beach w/o people", "a beach", ("people",)),
        ("a cat instead of a dog", "a cat", ("dog",)),
        ("animals other than dogs", "animals", ("dogs",)),
        ("food apart from pizza", "food", ("pizza",)),
        ("people-free street", "street", ("people",)),
        ("a car\u2011free street", "a street", ("car",)),
        ("smoke-free room", "room", ("smoke",)),
        ("a non-red car", "a car", ("red",)),
        ("photos without people", "photos", ("people",)),
        ("show me all my photos with no cars or dogs", "show me all my photos", ("cars", "dogs")),
        ("everything except dogs", "everything", ("dogs",)),
        ("everything but the sea", "everything", ("sea",)),
    ],
)
def test_what_should_not_be_shown_is_told_apart(
    words: str, wanted: str, unwanted: tuple[str, ...]
) -> None:
    found = negation_of(words)
    assert found is not None
    assert (found.wanted, found.unwanted) == (wanted, unwanted)


@pytest.mark.parametrize(
    "words",
    ["a no smoking sign", "house no. 7", "number no 7", "a notebook", "a knot", "snow", "no",
     "do not enter sign", "a northern beach", "piano", "without", "free range chicken",
     "free-range eggs", "sugar-free cola", "hands-free phone", "toll-free number", "cage-free hen",
     "non-stop train", "a non-alcoholic drink", "non-stick pan", "non-fiction books", "freedom",
     "a player breaks free of another", "never ending road", "with neither smiling", "lacklustre",
     "a car-free zone sign", "nothing but snow", "all but one boat", "slack line",
     "an empty street", "rather a big dog"],
)  # fmt: skip
def test_words_that_negate_nothing_stay(words: str) -> None:
    assert negation_of(words) is None


@pytest.mark.parametrize(
    "words",
    ["photos", "Pictures", "all photos", "all of my pictures", "show me photos", "images",
     "everything", "anything", "a photo", "please find me every picture", "pics"],
)  # fmt: skip
def test_words_for_pictures_at_large_name_nothing(words: str) -> None:
    assert names_nothing(words)
    found = with_others(Query((Part(text=f"{words} without people or cars"),)))
    left_out = (Part(text="people", weight=-1.0), Part(text="cars", weight=-1.0))
    assert found.parts == (Part(text=words), *left_out)
    assert finds_others(found)
    assert not finds_others(Query((Part(text=words),)))


@pytest.mark.parametrize(
    "words",
    ["a photographer", "a picture frame", "photos of dogs", "my dog", "a photo on a wall", "all",
     "picture books", "the", ""],
)  # fmt: skip
def test_words_that_name_a_thing_do(words: str) -> None:
    assert not names_nothing(words)


@pytest.mark.parametrize(
    "part",
    [Part(text="a beach without people"), Part(text="photos"),
     Part(concept="photos without people"),
     Part(text="photos without people", weight=-1.0), Part(text="no people"),
     Part(text="photos without people", literal=True),
     Part(text="photos without people", place=Box(0, 0, 0.5, 1))],
)  # fmt: skip
def test_what_looks_for_something_stays_as_it_is(part: Part) -> None:
    query = Query((Part(text="snow"), part))
    assert with_others(query) is query
    assert not finds_others(query)


@pytest.mark.parametrize("line", ["no cars", "- cars", "-cars"])
def test_what_to_type_for_all_others_is_a_query_of_them(line: str) -> None:
    with pytest.raises(QueryError) as raised:
        wanted_words(parse_query(line).parts[0])
    assert raised.value.code == "only_negative"
    typed = (raised.value.hint or "").rpartition("type: ")[2]
    assert parse_query(typed).parts == (Part(text="pictures"), Part(text="cars", weight=-1.0))
    assert finds_others(parse_query(typed))


TYPOS = {
    "bycicle": "bicycle", "bicylce": "bicycle", "elefant": "elephant", "umbrela": "umbrella",
    "moutain": "mountain", "motorcyle": "motorcycle", "gitar": "guitar", "baloon": "balloon",
    "sunsett": "sunset", "hores": "horse", "snowbord": "snowboard", "breakfest": "breakfast",
    "televison": "television", "swiming pool": "swimming pool", "restarant": "restaurant",
    "chruch": "church", "airplne": "airplane", "buterfly": "butterfly", "a red balll": "a red ball",
    "computr": "computer", "zebr": "zebra",
}  # fmt: skip


@pytest.mark.parametrize(("words", "right"), TYPOS.items())
def test_a_mistyped_word_has_a_suggestion(words: str, right: str) -> None:
    assert suggestion(words, lambda: ()) == right


@pytest.mark.parametrize(
    "words",
    ["a dog on a beach", "kitesurfers", "pomeranian", "bmw", "Eiffel tower", "asdfghjkl",
     "labradoodle", "IMG_2041", "café", "h2o", "dogs", "churches", "NASA", "x", "", "2019"],
)  # fmt: skip
def test_words_that_are_right_or_like_nothing_have_none(words: str) -> None:
    assert suggestion(words, lambda: ()) is None


def test_the_librarys_own_words_are_right() -> None:
    assert suggestion("zebr", lambda: {"zebr"}) is None
    assert suggestion("frobnitzz", lambda: {"frobnitz"}) == "frobnitz"


@pytest.mark.parametrize(
    "words",
    ["un perro en la playa", "un chien sur la plage", "ein Hund am Strand",
     "un cane sulla spiaggia", "um cachorro na praia", "een hond op het strand",
     "en hund på stranden", "pies na plaży", "plajda bir köpek", "собака на пляже",
     "海滩上的狗", "浜辺の犬", "كلب على الشاطئ", "कुत्ता"],
)  # fmt: skip
def test_other_languages_are_noticed(words: str) -> None:
    assert may_be_foreign(words_of(words))


@pytest.mark.parametrize(
    "words",
    ["a dog on a beach", "red car", "café terrace", "jalapeño pepper", "eau de toilette",
     "crème brûlée", "two dogs", "dog in water", "girl in red", "piñata party", "", "42",
     "dog snow", "a man and his dog", "I ❤ dogs"],
)  # fmt: skip
def test_english_is_not_taken_for_another_language(words: str) -> None:
    assert not may_be_foreign(words_of(words))
