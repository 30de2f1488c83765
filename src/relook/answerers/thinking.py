"""Keeps what a model thinks apart from what it answers. Layer: answerers. Pure text.

Models write their thoughts between tags (`<think>`), behind the marks of a format (Harmony's
`<|channel|>analysis`), or in front of a closing tag that was never opened, since their template had
opened it. Answers and captions read replies through this one module.

Source: the chat templates of the model families named beside each mark.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

TEXT, THINKING = "text", "thinking"
Piece = tuple[str, str]
"""`TEXT` or `THINKING`, and what was written of it."""

_WORD = (
    r"(?:[a-z_]+:)?(?:[a-z]+_)?(?:think(?:ing)?|thoughts?|reasoning|reflection|analysis|scratchpad)"
)
_OPENS = (
    rf"<{_WORD}(?:\s[^<>]{{0,60}})?>"  # DeepSeek, Qwen, GLM, Seed (`<seed:think>`), LongCat
    r"|\[THINK\]"  # Magistral
    r"|◁think▷"  # Kimi-VL
    r"|<\|(?:begin_of_thought|START_THINKING|begin_of_thinking|thinking)\|>"  # Sky, Command
    r"|<\|channel>|<unused94>"  # Gemma 4, MedGemma; both write the word "thought" behind it
)
_CLOSES = (
    rf"</{_WORD}>|\[/THINK\]|◁/think▷"
    r"|<\|(?:end_of_thought|END_THINKING|end_of_thinking|/thinking)\|>|<channel\|>|<unused95>"
)
# The Harmony format: <|channel|>final<|message|>The answer<|return|>
_HEADER = r"<\|start\|>|<\|channel\|>"
_BODY = r"<\|message\|>"
_END = r"<\|(?:end|return|call)\|>"
# Marks that mean nothing to a reader: of turns, of answers, of boxes.
_DROPPED = (
    r"<\|[A-Za-z_][^|<>]{0,40}\|>|<\uff5c[^\uff5c<>]{1,40}\uff5c>|</?s>|<pad>|<unk>|<bos>|<eos>|\[/?INST\]|</?answer>"
    r"|<(?:start|end)_of_(?:turn|image)>|<turn\|>|<\|turn>"
)
_MARK = re.compile(
    rf"(?P<header>{_HEADER})|(?P<body>{_BODY})|(?P<opens>{_OPENS})|(?P<closes>{_CLOSES})"
    rf"|(?P<end>{_END})|(?P<dropped>{_DROPPED})",
    re.IGNORECASE,
)
_LONGEST_MARK = 80
_BEGINS = ("<", "[", "◁")
_MAY_BEGIN = re.compile(r"<(?:[/|\uff5ca-z][^<>\n]*)?|\[/?(?:[TI][A-Z]*)?|◁[^▷\s]*", re.IGNORECASE)
# Harmony whose marks were taken out by the server: "analysisThe user asks ...assistantfinalA cat."
_BARE_START = re.compile(r"\A\s*analysis(?=[A-Z\"'])")
_BARE_FINAL = "assistantfinal"


@dataclass(frozen=True, slots=True)
class Parted:
    """A reply in its two parts.

    Args:
        text: The answer, without marks of any format.
        thinking: What the model thought on its way to it; may be empty.
    """

    text: str
    thinking: str = ""


class Parting:
    """Parts a reply while it comes in.

    A closing tag that nothing opened says that everything before it was thinking; `was_thinking`
    is then set, since pieces of it were given as text.
    """

    def __init__(self) -> None:
        self._in_sentence: tuple[int, str] | None = None  # an opening mark there: where, and which
        self._waiting, self._now = "", TEXT
        self._header: str | None = None  # of a Harmony message, as far as it has come
        self._pieces: list[Piece] = []
        self._bare: bool | None = None
        self.was_thinking = False

    def feed(self, text: str) -> list[Piece]:
        """Takes the next piece of a reply; returns what is certain by now."""
        self._waiting += text
        n_before = len(self._pieces)
        if self._bare is None and not self._knows_start():
            return []
        self._read(last=False)
        return self._pieces[n_before:]

    def finish(self) -> list[Piece]:
        """Reads what was held back, at the end of a reply."""
        n_before = len(self._pieces)
        if self._bare is None:
            self._start()
        self._read(last=True)
        if self._in_sentence is not None:  # never closed: the sentence is about the mark
            n_before, mark = self._in_sentence
            behind = [(TEXT, text) for _, text in self._pieces[n_before:]]
            self._pieces[n_before:] = [(TEXT, mark), *behind]
        return self._pieces[n_before:]

    @property
    def parted(self) -> Parted:
        """What has been read so far."""
        both = {kind: "".join(t for k, t in self._pieces if k == kind) for kind in (TEXT, THINKING)}
        thoughts = re.sub(r"\A\s*thought\n", "", both[THINKING])
        return Parted(both[TEXT].strip(), thoughts.strip())

    def _knows_start(self) -> bool:
        start = self._waiting.lstrip()
        if len(start) <= len("analysis") and "analysis".startswith(start.lower()):
            return False
        self._start()
        return True

    def _start(self) -> None:
        self._bare = bool(_BARE_START.search(self._waiting))
        if self._bare:
            self._now = THINKING
            self._waiting = self._waiting.lstrip()[len("analysis") :]

    def _read(self, *, last: bool) -> None:
        while (mark := _MARK.search(self._waiting)) is not None:
            self._say(self._waiting[: mark.start()])
            self._waiting = self._waiting[mark.end() :]
            self._turn(mark)
        if self._bare and (at := self._waiting.find(_BARE_FINAL)) >= 0:
            self._say(self._waiting[:at])
            self._now, self._waiting, self._bare = (
                TEXT,
                self._waiting[at + len(_BARE_FINAL) :],
                False,
            )
        held = 0 if last else self._n_held()
        cut = len(self._waiting) - held
        self._say(self._waiting[:cut])
        self._waiting = self._waiting[cut:]

    def _turn(self, mark: re.Match[str]) -> None:
        """What a mark changes for the text behind it."""
        kind = mark.lastgroup
        if kind != "dropped":
            self._in_sentence = None
        if kind == "header":
            self._header, self._now = "", TEXT
        elif kind == "body":
            self._begin_body()
        elif kind == "opens":
            written = "".join(text for kind, text in self._pieces if kind == TEXT)
            if self._now == TEXT and written.rpartition("\n")[2].strip():
                self._in_sentence = len(self._pieces), mark.group()
            self._now = THINKING
        elif kind == "closes":
            if self._now == TEXT:
                self._was_all_thinking()
            self._now = TEXT
        elif kind == "end":
            self._header, self._now = None, TEXT

    def _begin_body(self) -> None:
        """A header is "assistant", "analysis", "final", "commentary to=functions.look"."""
        channel = re.search(r"analysis|commentary|final", self._header or "")
        self._now = THINKING if channel and channel.group() != "final" else TEXT
        self._header = None

    def _was_all_thinking(self) -> None:
        if any(kind == TEXT and text.strip() for kind, text in self._pieces):
            self._pieces = [(THINKING, text) for _, text in self._pieces]
            self.was_thinking = True

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._header is not None:
            self._header += text
            return
        self._pieces.append((self._now, text))

    def _n_held(self) -> int:
        """Characters at the end that may be the beginning of a mark."""
        tail = self._waiting[-_LONGEST_MARK:]
        starts = [at for begin in _BEGINS if (at := tail.rfind(begin)) >= 0]
        # A mark may begin with "<" and hold another: the first that is not closed counts.
        opened = [at for at in starts if _MAY_BEGIN.fullmatch(tail, at)]
        n_held = len(tail) - min(opened) if opened else 0
        if self._bare:
            n_held = max(n_held, len(_BARE_FINAL) - 1)
        return min(n_held, len(self._waiting))


def is_mark(token: str) -> bool:
    """Whether a token says where thoughts or an answer begin or end."""
    mark = _MARK.fullmatch(token)
    return mark is not None and mark.lastgroup != "dropped"


_BOTH_TURNS = re.compile(
    r"(?:(?<=\n)|(?<=\A)|(?<=\s))(?:#+\s*)?(USER|ASSISTANT|Human|Assistant|User):"
)
_USERS = ("user", "human")


def parted(reply: str) -> Parted:
    """A whole reply's answer and thoughts, without the marks of any chat format.

    Of a text that holds turns (`USER: ... ASSISTANT: ...`) the last answer counts.

    Args:
        reply: What a model wrote, whatever it is.
    """
    parting = Parting()
    parting.feed(reply)
    parting.finish()
    both = parting.parted
    return Parted(last_answer(both.text), both.thinking)


# Calls of tools that a template wrote as text: Qwen, Hermes; Llama; Mistral.
_TOOL_CALL = re.compile(
    r"<(tool_calls?|function_calls?|tool_use)>\s*(?=[\[{<]).*?(?:</\1>|\Z)"
    r"|<function=[^<>]{1,80}>.*?(?:</function>|\Z)|\[TOOL_CALLS\].*\Z",
    re.DOTALL | re.IGNORECASE,
)
_TOOL_NAME = re.compile(r'"name"\s*:\s*"([^"]{1,60})"|<function=([^<>]{1,60})>')


def tool_names(text: str) -> list[str]:
    """The tools that a reply calls in its text."""
    calls = (call.group() for call in _TOOL_CALL.finditer(text))
    names = (_TOOL_NAME.search(call) for call in calls)
    return [(name[1] or name[2]) if name else "unnamed" for name in names]


def last_answer(text: str) -> str:
    """The last turn of the assistant, of a text that holds turns; else all but calls of tools."""
    text = _TOOL_CALL.sub("", text)
    marks = list(_BOTH_TURNS.finditer(text))
    answers = [mark for mark in marks if mark[1].lower() not in _USERS]
    if not answers:
        users = [mark for mark in marks if mark.start() > 0]
        return text[: users[0].start()].strip() if users else text.strip()
    for mark in reversed(answers):
        later = [other.start() for other in marks if other.start() > mark.start()]
        turn = text[mark.end() : min(later, default=len(text))].strip()
        if turn:
            return turn
    return text[: marks[0].start()].strip()


_CHUNK = 24
_TAIL = 8000
_LEAST_REPEATED = 400
_LONG_PASSAGE, _N_SHORT, _N_LONG = 100, 12, 4
_N_GUESSES = 8
_SHOWN_REPEATED = 40


def repeats_itself(text: str) -> bool:
    """Whether the end of a text is one passage over and over: a model that does not stop.

    It is at least 400 characters of the same passage: twelve times a short one, four times one of
    100 characters and more.
    """
    return any(_periods(text))


def _periods(text: str) -> Iterator[int]:
    """Characters of a passage that the end of a text repeats; a passage may repeat one as well."""
    tail = text[-_TAIL:]
    last, before = tail[-_CHUNK:], len(tail) - _CHUNK
    for _ in range(_N_GUESSES):
        before = tail.rfind(last, 0, before + _CHUNK - 1)
        if before < 0:
            return
        period = len(tail) - _CHUNK - before
        n_times = _N_LONG if period >= _LONG_PASSAGE else _N_SHORT
        n = max(n_times * period, _LEAST_REPEATED)
        if n <= len(tail) and tail[-n:-period] == tail[-n + period :]:
            yield period


def without_repeats(text: str) -> str:
    """A text whose end repeats itself, with a little of that and an ellipsis for the rest."""
    cuts = [_after_two(text, period) for period in _periods(text)]
    return f"{text[: min(cuts)].rstrip()} \u2026" if cuts else text


def _after_two(text: str, period: int) -> int:
    """Where a passage that a text ends with has been said twice, or 40 characters of it."""
    start = len(text) - period
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    return start + max(2, -(-_SHOWN_REPEATED // period)) * period
