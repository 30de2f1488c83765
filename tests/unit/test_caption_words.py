"""Prompts as data, and the cleaning of what models say."""

from pathlib import Path

import pytest

from relook.captioners.base import About
from relook.captioners.wording import clean, find_prompt, shipped_prompts
from relook.core.errors import AnswerError, InputError, NotFoundError


@pytest.mark.parametrize(
    ("said", "phrase"),
    [
        ("a cat", "a cat"),
        ('"Two dogs."', "two dogs"),
        ("USER:  \nWhat is this? ASSISTANT: A red bus.", "a red bus"),
        ("assistant\nA Red Bus!", "a red bus"),
        ("A red bus\nUSER: and what is this?", "a red bus"),
        ("a dog</s><|im_end|>", "a dog"),
        ("<think>It may be a wolf.</think> A dog", "a dog"),
        ("Caption: brown dog", "brown dog"),
        ("Sure! Here is a caption: small brown dog", "small brown dog"),
        ("Here's the caption:\n\n**red mug**", "red mug"),
        ("1. brown dog\n2. white cat", "brown dog"),
        ("The image shows a man, who rides a horse on the beach at sunset.", "a man"),
        ("a photo of a dog", "a dog"),
        ("a small dog with a very long red leash", "a small dog"),
        ("St. Bernard dog", "st. bernard dog"),
        ("white van", "white van"),
        ("café au lait", "café au lait"),
        ("model: a plane", "a plane"),
        ("model plane", "model plane"),
    ],
)
def test_an_answer_becomes_a_phrase(said: str, phrase: str) -> None:
    assert clean(said, 4) == phrase


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("", "no_caption"),
        ("...", "no_caption"),
        ("ASSISTANT:", "no_caption"),
        ("I'm sorry, but I can't help with that.", "no_caption"),
        ("As an AI, I see no picture", "no_caption"),
        ("一只狗在跑", "other_language"),
        ("собака бежит", "other_language"),
        ("eine Katze auf dem Sofa", "other_language"),
        ("une grande maison", "other_language"),
        ("Un perro marrón corre por la playa", "other_language"),
        ("Cane marrone che corre sulla spiaggia", "other_language"),
    ],
)
def test_what_is_no_phrase_is_a_failure(said: str, code: str) -> None:
    with pytest.raises(AnswerError) as caught:
        clean(said, 4)
    assert caught.value.code == code


def test_an_essay_costs_no_more_than_its_words() -> None:
    assert clean("a dog. " + "It runs and runs. " * 5000, 4) == "a dog"


@pytest.mark.parametrize("name", ["short", "query", "retail"])
def test_a_shipped_prompt_asks(name: str) -> None:
    prompt = find_prompt(name)
    assert prompt.ask(About()) == prompt.text
    told = prompt.ask(About(instruction="name\n the colour"))
    assert told == f"{prompt.text} name the colour"
    assert "{" not in prompt.ask(About("a {query} or {other}", relevant=True)).replace(
        "a {query} or {other}", ""
    )


def test_a_prompt_knows_the_query_and_the_mark() -> None:
    prompt = find_prompt("query")
    assert '"dog"' in prompt.ask(About("dog"))
    assert prompt.relevant in prompt.ask(About("dog", relevant=True))
    assert prompt.irrelevant in prompt.ask(About("dog", relevant=False))
    assert "dog" not in find_prompt("short").ask(About("dog", relevant=True))


def test_a_prompt_in_ones_own_words() -> None:
    assert find_prompt("Name the dog's breed.").ask(About("x")) == "Name the dog's breed."
    assert find_prompt("").name == "short"


def test_a_prompt_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[birds]\ntext = "Which bird?"\nmax_words = 3\n[cars]\ntext = "Which car?"\n')
    assert find_prompt(f"{file}#birds").max_words == 3
    with pytest.raises(NotFoundError, match="has 2 prompts"):
        find_prompt(str(file))
    with pytest.raises(NotFoundError, match="no prompt 'dogs'"):
        find_prompt(f"{file}#dogs")


@pytest.mark.parametrize(
    "text",
    ["not toml", "text = 'x'", "[a]\ntext = 3", "[a]\nwords = 'x'", "[a]\ntext='x'\nmax_words=0"],
)
def test_a_file_that_is_no_prompt_says_why(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        find_prompt(str(file))
    assert caught.value.code == "bad_prompt"


def test_a_prompt_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        find_prompt("shrot")
    assert caught.value.hint == "did you mean 'short'?"
    with pytest.raises(NotFoundError, match="no prompt file"):
        find_prompt(str(tmp_path / "none.toml"))


def test_every_shipped_prompt_is_for_short_answers() -> None:
    for prompt in shipped_prompts().values():
        assert prompt.max_words <= 6 < prompt.max_tokens
