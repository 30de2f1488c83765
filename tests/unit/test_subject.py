"""What words say is to be seen, without the words that ask for it."""

import pytest

from relook.core.subject import subject_of
from relook.encoders.base import Unread
from relook.encoders.builtin import BuiltinEncoder


@pytest.mark.parametrize(
    "text",
    [
        "dogs",
        "show me dogs",
        "Show me photos of my dogs, please",
        "could you find me all of my pictures of dogs?",
        "pictures that show dogs",
        "dogs photos",
        "which photos show dogs?",
        "do I have any pics with dogs",
        "I'd like to see some dogs",
        "i\u2019m looking for dogs",
        "where are my dogs",
        "the image shows dogs",
        "In this picture, there are dogs",
        "images in which there are dogs",
        "show pictures of dogs",
        "is there dogs in the picture?",
        "PHOTOS OF DOGS",
    ],
)
def test_whatever_asks_for_dogs_is_dogs(text: str) -> None:
    assert subject_of(text).lower() == "dogs"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("a dog", "dog"),
        ("an old van", "old van"),
        ("the beach", "beach"),
        ("photos from the beach", "from the beach"),
        ("pictures taken at night", "at night"),
        ("photos taken on a boat", "on a boat"),
        ("wedding pictures", "wedding"),
        ("my cat", "cat"),
        ("is anyone swimming?", "swimming"),
        ("somebody who is climbing", "climbing"),
        ("a photo of two apples, a fork and a table", "two apples, a fork and a table"),
        ("find a man riding a horse", "a man riding a horse"),
    ],
)
def test_what_is_left_is_what_is_seen(text: str, subject: str) -> None:
    assert subject_of(text) == subject


@pytest.mark.parametrize(
    "text",
    [
        "a man riding a horse",
        "photo album",
        "picture frame on a wall",
        "satellite images",
        "black and white photos",
        "passport photos",
        "old pictures",
        "screenshots of code",
        "show jumping",
        "search dog",
        "a dog looking for food",
        "finding nemo",
        "my own photos of dogs",
        "shots of whisky",
        "someone on a skateboard",
        "pictures on a wall",
        "people taking photos",
        "man with pictures",
        "no photos",
        "a boy and his mother look at pictures",
    ],
)
def test_what_says_something_stays(text: str) -> None:
    assert subject_of(text) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "photos", "show me", "please", "find", "where is", "my", "a", "?", "...", "of"],
)
def test_words_that_only_ask_stay(text: str) -> None:
    assert subject_of(text) == text


def test_where_nothing_is_taken_out_spaces_stay() -> None:
    assert subject_of("  two   dogs ") == "  two   dogs "


def test_reading_twice_changes_nothing() -> None:
    for text in ("show me all the pictures", "a photo", "please show me photos of photos of my my"):
        assert subject_of(subject_of(text)) == subject_of(text)


def test_a_text_without_end_is_left_alone() -> None:
    text = "show me " + "," * 100_000 + " dogs"
    assert subject_of(text) is text


def test_the_built_in_encoder_reads_the_subject() -> None:
    texts = ["dog", "show me pictures of my dog", "a dog", "dog photos"]
    bare, *asked = BuiltinEncoder().encode_texts(texts)
    for vector in asked:
        assert vector @ bare > 0.9999


def test_what_no_token_stands_for_is_told_of_the_subject() -> None:
    assert BuiltinEncoder().unread("photos of \U0001f9ff") == Unread(("\U0001f9ff",), is_all=True)
