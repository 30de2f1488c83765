"""What a concept is made of, as the catalog gives it. Layer: library."""

from dataclasses import dataclass
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.errors import InputError, is_no
from relook.core.json_form import HEX, HIDDEN, SHOWN, Longest
from relook.core.types import Box, Page, Query
from relook.core.vectors import Floats
from relook.library.session_rows import Caption, ImageId, Text, Weight

MAX_CONCEPT_NAME = 200


@dataclass(frozen=True, slots=True, eq=False)
class ConceptExample(JsonValue):
    """A picture, or a region of one, that a concept rests on.

    Args:
        example_id: Given by the catalog; 0 before that.
        image_id: The image of this library that it is; None where the library has it not.
        content: Digest of the picture file, by which other libraries know it.
        path: Where the file was, for people.
        relevant: Whether it shows the concept, or what the concept is not.
        box: The region that is meant; None for the whole picture.
        caption: What is in it, in words; empty when nobody said.
        weight: How much it counts.
        encoder: Digest of the fingerprint of the encoder that made `tiles`; empty without any.
        tiles: [k, d] unit vectors that it covers; row 0 stands for all of it.
    """

    example_id: int
    image_id: int | None
    content: Annotated[bytes, HEX]
    path: str
    relevant: bool
    box: Box | None = None
    caption: str = ""
    weight: float = 1.0
    encoder: Annotated[str, HIDDEN] = ""
    tiles: Annotated[Floats | None, HIDDEN] = None


@dataclass(frozen=True, slots=True, eq=False)
class Concept(JsonValue):
    """What a session learnt, under a name.

    Args:
        concept_id: Given by the catalog; 0 before that. It stays when the name changes.
        name: What a person calls it; `@name` in a query.
        query: The words that it began from; None where it began from pictures, which are
            examples then.
        relevant_words: What fits, in words; commas part several.
        irrelevant_words: The same for what does not fit.
        strategy: How its examples are used.
        examples: Oldest first.
        created_s, changed_s: When it was saved, and changed last.
        seen_id: Highest image id when its album was looked at last.
        encoder: Digest of the fingerprint of the encoder that made its vectors.
        vector: [d] what it ranks by; None where nothing could be fitted yet.
        problems: What of it cannot be read, in words.
    """

    concept_id: int
    name: str
    query: Query | None
    relevant_words: str
    irrelevant_words: str
    strategy: str
    examples: tuple[ConceptExample, ...]
    created_s: float = 0.0
    changed_s: float = 0.0
    seen_id: Annotated[int, HIDDEN] = 0
    encoder: Annotated[str, HIDDEN] = ""
    vector: Annotated[Floats | None, HIDDEN] = None
    problems: tuple[str, ...] = ()

    @property
    def n_relevant(self) -> Annotated[int, SHOWN]:
        """How many examples show it."""
        return sum(example.relevant for example in self.examples)

    @property
    def n_irrelevant(self) -> Annotated[int, SHOWN]:
        """How many show what it is not."""
        return len(self.examples) - self.n_relevant


@dataclass(frozen=True, slots=True)
class ExampleChange:
    """What to change of an example; what is absent stays.

    Args:
        example_id: Which.
        relevant: Whether it shows the concept.
        caption: What is in it, in words; none when empty.
        weight: How much it counts.
    """

    example_id: ImageId
    relevant: bool | None = None
    caption: Caption | None = None
    weight: Weight | None = None


@dataclass(frozen=True, slots=True)
class ConceptChange:
    """What to change of a concept; what is absent stays.

    Args:
        name: What to call it.
        relevant_words: What fits, in words; commas part several.
        irrelevant_words: The same for what does not fit.
        examples: Changes of examples.
        without: Examples to take out.
    """

    name: Annotated[str, Longest(MAX_CONCEPT_NAME)] | None = None
    relevant_words: Text | None = None
    irrelevant_words: Text | None = None
    examples: Annotated[tuple[ExampleChange, ...], Longest(1000)] = ()
    without: Annotated[tuple[ImageId, ...], Longest(1000)] = ()


@dataclass(frozen=True, slots=True)
class ConceptAlbum(JsonValue):
    """The pictures that a concept holds now: those that fit, and its relevant examples.

    Args:
        page: The pictures, best first.
        n_pictures: How many they are.
        is_cut: Whether there are more than a page holds.
        n_new: How many of them came into the library since the album was looked at last.
    """

    page: Page
    n_pictures: int
    is_cut: bool
    n_new: int


@dataclass(frozen=True, slots=True)
class ConceptLine(JsonValue):
    """A concept in a list.

    Args:
        concept_id: Its id.
        name: What a person calls it; `@name` in a query.
        words: The words that it began from.
        n_relevant: Examples that show it.
        n_irrelevant: Examples of what it is not.
        changed_s: When it was changed last.
        n_pictures: How many pictures of the library it holds; None where that is not known.
        n_new: How many of them came since its album was looked at last.
        problem: Why that is not known.
    """

    concept_id: int
    name: str
    words: str
    n_relevant: int
    n_irrelevant: int
    changed_s: float
    n_pictures: int | None = None
    n_new: int | None = None
    problem: str = ""


def concept_name(text: str) -> str:
    """The name of a concept as it is kept: without `@` before it, with single blanks.

    Raises:
        InputError: `bad_name` for one that a query could not hold.
    """
    if not isinstance(text, str):
        raise InputError("bad_name", is_no(text, "name of a concept"), "say what it is: our van")
    name = " ".join(text.split()).removeprefix("@").strip()
    if not name:
        raise InputError("bad_name", "a concept's name cannot be empty", "say what it is: our van")
    if len(name) > MAX_CONCEPT_NAME:
        raise InputError(
            "bad_name",
            f"{len(name):,} characters are more than a concept's name may have, {MAX_CONCEPT_NAME}",
        )
    lone = [word for word in name.split() if word in ("+", "-")]
    if lone or any("\ud800" <= letter <= "\udfff" or letter < " " for letter in name):
        raise InputError(
            "bad_name",
            f"{name!r:.80} cannot be the name of a concept",
            "leave out + and - between blanks, which part a query: our-old-van",
        )
    return name
