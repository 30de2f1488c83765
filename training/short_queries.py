"""Short queries as people type them, told by captions: words that most pictures share."""

import re
from collections import Counter

COMMON = 0.03  # share of pictures
NO_WORDS = frozenset(
    re.findall(
        r"[a-z]+",
        "a an the of in on at with and is are to his her its their it by for from as that up two"
        " one some while who through into other out over another near next be him them they has"
        " down off front behind three",
    )
)


def words_of(caption: str) -> list[str]:
    """The words of a caption, in their order."""
    return re.findall(r"[a-z]+", caption.lower())


def common_words(captions: list[str]) -> list[str]:
    """Words that most captions of many pictures use; captions come five a picture."""
    pictures: Counter[str] = Counter()
    for at in range(0, len(captions), 5):
        uses = Counter(word for each in captions[at : at + 5] for word in set(words_of(each)))
        pictures.update(word for word, n in uses.items() if n > 2 and word not in NO_WORDS)
    return [word for word, n in pictures.most_common() if n >= COMMON * len(captions) / 5]
