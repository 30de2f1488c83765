"""What words that are left out are read as: the kinds of thing that they name. Layer: search.

An encoder hears "people" as a crowd: of training pictures that show somebody, one in five stands
out for the word. Their own names find them: a man, a girl, a climber. Each list was chosen on
training pictures of Flickr8k, word by word, by how many more pictures of the kind leave for how
many others (`benchmarks/leave_out.py`, docs/concepts.md); words that did not pay are not here.
"""

_PEOPLE = (
    "people", "man", "woman", "guy", "guys", "girl", "girls", "kid", "couple", "friends",
    "gentleman", "crowd", "boy", "cyclist", "climber",
)  # fmt: skip
_CHILDREN = ("child", "girl", "girls", "kid")
_ANIMALS = ("animal", "dog", "dogs", "horse", "bird", "cat", "cow", "sheep")
_DOGS = ("dog", "dogs")
_READ_AS = {
    **dict.fromkeys(("people", "person", "persons", "human", "humans", "anybody"), _PEOPLE),
    **dict.fromkeys(("child", "children", "kid", "kids"), _CHILDREN),
    **dict.fromkeys(("animal", "animals"), _ANIMALS),
    **dict.fromkeys(_DOGS, _DOGS),
    "water": ("water", "swim"),
}
_ARTICLES = frozenset(("a", "an", "any", "the"))


def kinds_of(text: str) -> tuple[str, ...]:
    """Words of which each shows what a text names; the text itself where it names no such kind."""
    words = text.lower().split()
    while words and words[0] in _ARTICLES:
        words.pop(0)
    return _READ_AS.get(" ".join(words), (text,))
