"""What words say is to be seen, without the words that ask for it. Layer: core.

People type "show me pictures of dogs" and captioners write "the image shows a dog". A text tower
that learnt from captions reads the frame as part of what is seen: of 85 things, such a question
found .28 (mean AP) where the bare word finds .40, and nearly all were told that nothing fits.
docs/search.md has what is left out, and the figures.
"""

import re

_PICTURES = (
    r"(?:photo(?:graph)?s?|pictures?|pics?|images?|snap(?:shot)?s?)"  # "shots" are drunk, too
)
_EACH = (
    r"(?:all|any|every|each|some|more|other|only|just|which|of"
    r"|an?|the|this|these|those|my|our|your)"
)
_SHOW = (
    r"(?:(?:show|contain|feature|depict)s?|showing|containing|featuring|depicting|ha(?:s|ve|ving))"
)
_THERE = r"there(?:\s+is|\s+are|['\u2019]s)(?:\s+any)?"
_WHERE = r"(?:at|in|from|near|by|during)"  # not "on": "pictures on a wall" hang there
_ASKS = (
    r"please",
    r"(?:can|could|will|would)\s+you(?=\s)",
    r"(?:hi|hello|hey)\b,?(?=\s)",
    r"i(?:\s+would|['\u2019]d)?\s+(?:like|want|need|wish)(?:\s+to\s+(?:see|find|look\s+at|get))?",
    r"(?:let|help)\s+(?:me|us)\s+(?:see|find|look\s+(?:at|for))",
    r"(?:i\s+am\s+|i['\u2019]m\s+|we\s+are\s+)?(?:looking|searching)\s+for",
    r"(?:look|search)\s+(?:for|through\s+my\s+\w+\s+for)",
    r"find(?:\s+(?:me|us))?",
    r"(?:show|give|get|bring)\s+(?:me|us)",
    rf"(?:show|display|list)(?=\s+(?:{_EACH}\s+)*{_PICTURES}\b)",
    r"(?:do|did)\s+(?:i|we|you)\s+have(?:\s+any)?",
    r"(?:have|has)\s+(?:i|we|you)\s+got(?:\s+any)?",
    r"where(?:\s+(?:is|are)|['\u2019]s)",
    r"(?:is|are)\s+there(?:\s+any)?",
    r"(?:is\s+)?(?:any|some)(?:one|body)\s+who(?:\s+is|['\u2019]s)",
    r"is\s+(?:any|some)(?:one|body)",
    rf"(?:what|which)\s+(?:of\s+)?(?:{_EACH}\s+)*{_PICTURES}\s+(?:{_SHOW}|are\s+of)",
)
_FRAMES = (
    rf"(?:{_EACH}\s+)*{_PICTURES}\s+(?:(?:that|which)\s+)?(?:of|with|{_SHOW})",
    rf"(?:{_EACH}\s+)*{_PICTURES},?\s+(?:in\s+which|on\s+which|where)(?:\s+{_THERE})?",
    rf"(?:{_EACH}\s+)*{_PICTURES}(?:\s+taken(?=\s+on\s)|(?:\s+taken)?(?=\s+{_WHERE}\s))",
    rf"in\s+(?:the|this)\s+{_PICTURES},?(?:\s+{_THERE}|\s+(?:we|you|i)\s+(?:can\s+)?see)?",
    r"(?:my|our)(?!\s+own\b)",
)
_BEFORE = re.compile(rf"(?:{'|'.join((*_ASKS, *_FRAMES))})[\s:,]+(?=\S)", re.IGNORECASE)
_AFTER = re.compile(
    rf"(?:[\s,]+(?:please|thanks|thank\s+you)|\s+in\s+(?:the|this|an?|my)\s+{_PICTURES}|\s+in\s+it"
    r"|\s*[?!])$",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"(?:an?|the|any|some)\s+(?=\S+(?:\s+\S+)?$)", re.IGNORECASE)
_PLURAL = re.compile(
    r"(?<=\S)\s+(?:photos|photographs|pictures|pics|images|snapshots)$", re.IGNORECASE
)
# Before "pictures" these say what the pictures are like or what is done with them, and not what is
# seen on them.
_KEEPS = re.compile(
    r"(?:^|[\s-])(?:aerial|satellite|drone|passport|profile|stock|press|school|class|group|x-?ray|mri|ct"
    r"|ultrasound|infrared|thermal|medical|microscopic|microscope|panoramic|portrait|vertical|square"
    r"|white|color|colour|sepia|vintage|old|new|latest|recent|blurry|sharp|dark|bright|funny|cute|nice"
    r"|good|bad|best|beautiful|ugly|digital|macro|close-?up|night|day|framed|moving|similar|same|other"
    r"|tak(?:es?|ing|en)|took|(?:hold|draw|paint|hang|develop|view|mak|print|show|see|watch|edit)ing"
    r"|all|my|our|the|some|any|no|not|without|with|and|or|of|at|in|on|for|to|me)$",
    re.IGNORECASE,
)
_A_NAME = 3  # words before "pictures", at most; more are a sentence
_AT_LARGE = re.compile(rf"(?:{_EACH}\s+)*(?:{_PICTURES}|everything|anything)", re.IGNORECASE)
_LONGEST = 500  # characters; nobody asks at such length


def subject_of(text: str) -> str:
    """The text without what asks for it or says that it is a picture; whole where that is all.

    "Show me photos of my dogs, please" is "dogs", "is there a red car in the picture?" is "red
    car". An article goes before one or two words; whole sentences keep theirs.
    """
    if len(text) > _LONGEST:
        return text
    left = typed = " ".join(text.split())
    while shorter := _shorter(left):
        left = shorter
    return text if left == typed else left


def names_nothing(text: str) -> bool:
    """Whether words say that pictures are looked for, and not of what: "show me all my photos"."""
    return _AT_LARGE.fullmatch(subject_of(text).strip()) is not None


def _shorter(text: str) -> str | None:
    """The text without one frame; None where it has none, or nothing else."""
    if match := _BEFORE.match(text) or _ARTICLE.match(text):
        return text[match.end() :]
    if (match := _AFTER.search(text)) and text[: match.start()].strip():
        return text[: match.start()]
    if match := _PLURAL.search(text):
        before = text[: match.start()]
        if len(before.split()) <= _A_NAME and not _KEEPS.search(before):
            return before
    return None
