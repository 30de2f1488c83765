"""Reads what a chat service sends: a reply, in any public shape. Layer: answerers.

It sends nothing itself; `chat` does, and `chat_errors` makes failures readable. Services leave
fields out, send null, send lists for strings, and send whole JSON where a stream was asked for, so
every field may be missing or something else.

Source: the public references of chat completions, of OpenRouter, DeepSeek, vLLM, SGLang, llama.cpp,
Ollama, LiteLLM and Mistral (`reasoning`, `reasoning_content`, `reasoning_details`,
`thinking_blocks`, content as parts).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from relook.answerers.base import Finish, Reply, Tell, Usage
from relook.answerers.chat_errors import error_in, words_of
from relook.answerers.thinking import (
    TEXT,
    THINKING,
    Parting,
    Piece,
    last_answer,
    repeats_itself,
    tool_names,
    without_repeats,
)
from relook.core.plain_text import whole_characters
from relook.core.retry import Deadline

_LENGTH = ("length", "max_tokens", "model_length", "max_output_tokens")
_REFUSED = (
    "content_filter", "refusal", "safety", "recitation", "blocklist", "prohibited_content", "spii",
    "sensitive", "image_safety", "guardrail_intervened", "content_policy",
)  # fmt: skip
_BROKEN = (
    "error", "network_error", "abort", "aborted", "cancelled", "canceled", "unknown", "other",
    "insufficient_system_resource", "malformed_function_call", "timeout",
)  # fmt: skip
_TOOLS = ("tool_calls", "tool_use", "function_call", "tool_call")
_FINISHES = {
    **dict.fromkeys(_LENGTH, Finish.LENGTH),
    **dict.fromkeys(_REFUSED, Finish.REFUSED),
    **dict.fromkeys(_BROKEN, Finish.CUT_OFF),
}
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details", "thinking_blocks",
             "thought", "thoughts")  # fmt: skip
_MAX_CHARS = 400_000
_LOOK_EVERY = 500  # characters between two looks for a model that repeats itself


class Collected:
    """A reply as it comes in.

    Args:
        tell: Called with each piece of text and of thinking.
        deadline: Measures how long it takes.
    """

    def __init__(self, tell: Tell | None, deadline: Deadline) -> None:
        self._tell, self._deadline = tell, deadline
        self._parting = Parting()
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._tools: list[str] = []
        self._finish: Finish | None = None
        self._reason = ""
        self._first_s: float | None = None
        self._model, self._usage = "", Usage()
        self._notes: list[str] = []
        self._n_chars = self._n_looked = 0
        self._is_stopped = False

    @property
    def has_begun(self) -> bool:
        """Whether anything that a person may have seen has come."""
        return bool(self._n_chars or self._refusal or self._tools)

    @property
    def is_nothing(self) -> bool:
        """Whether neither a part of a reply nor an end has come."""
        return not self.has_begun and self._finish is None

    @property
    def is_too_much(self) -> bool:
        """Whether it never ends: a model that repeats itself, or more than any answer has."""
        if self._n_chars - self._n_looked < _LOOK_EVERY:
            return False
        self._n_looked = self._n_chars
        return self._n_chars > _MAX_CHARS or any(
            repeats_itself("".join(pieces)) for pieces in (self._texts, self._thoughts)
        )

    def add(self, text: str) -> None:
        """Adds a piece of the answer, which may hold thoughts between marks."""
        if text:
            self._note_first()
            self._texts.append(text)
            self._n_chars += len(text)
            self._hear(self._parting.feed(text))

    def add_thinking(self, text: str) -> None:
        """Adds a piece of thinking that came in a field of its own."""
        if text:
            self._thoughts.append(text)
            self._n_chars += len(text)
            self._hear([(THINKING, text)])

    def add_refusal(self, text: str) -> None:
        """Adds a piece of a refusal, which some services send apart from the text."""
        if text:
            self._refusal.append(text)

    def add_tool(self, name: str) -> None:
        """Notes that the model wants a tool; none was offered."""
        if name not in self._tools:
            self._tools.append(name)

    def ended(self, reason: Any) -> None:
        """Notes the service's own word for how it ended."""
        if isinstance(reason, str) and reason:
            self._reason = reason
            self._finish = _FINISHES.get(reason.lower(), Finish.DONE)
            if self._finish is Finish.CUT_OFF:
                self.cut(f"the service ended it with {reason!r}")

    def is_whole(self) -> None:
        """Notes that the service sent its last event; some say nothing else of the end."""
        self._finish = self._finish or Finish.DONE

    def stop_repeating(self) -> None:
        """Notes that the reply was ended here since it would not end by itself."""
        self._is_stopped = True
        self._finish, self._reason = Finish.LENGTH, "length"
        self._notes.append("the model repeats itself without an end: its reply was stopped")

    def add_facts(self, values: Mapping[str, Any]) -> None:
        """Notes what stands beside the text: model and usage."""
        if isinstance(values.get("model"), str):
            self._model = self._model or values["model"]
        usage = values.get("usage")
        if isinstance(usage, dict):
            read, wrote = usage.get("prompt_tokens"), usage.get("completion_tokens")
            self._usage = Usage(_count(read), _count(wrote))

    def cut(self, why: str) -> None:
        """Notes that the reply broke off."""
        self._finish = Finish.CUT_OFF
        self._notes.append(f"the reply broke off: {why}")

    def reply(self, model: str, notes: Sequence[str]) -> Reply:
        """The whole reply, in whole characters.

        Args:
            model: The model that was asked for, where the service does not name the one that wrote.
            notes: About the attempts before it.
        """
        self._hear(self._parting.finish())
        parts = self._parting.parted
        for name in tool_names(parts.text):
            self.add_tool(f"the tool {name!r}")
        text = last_answer(parts.text)
        thinking = "\n\n".join(p for p in ("".join(self._thoughts).strip(), parts.thinking) if p)
        if self._is_stopped:
            text, thinking = without_repeats(text), without_repeats(thinking)
        if self._refusal:
            if not text:
                text = "".join(self._refusal).strip()
                self._hear([(TEXT, text)])
            self._finish = Finish.REFUSED
        if self._finish is None:
            self.cut("the service ended it without saying why")
        if not text and self._finish in (Finish.DONE, Finish.LENGTH):
            self._notes.append(self._why_empty(thinking))
            self._finish = Finish.EMPTY
        return Reply(
            whole_characters(text),
            self._finish or Finish.CUT_OFF,
            whole_characters(self._model or model),
            self._usage,
            tuple(map(whole_characters, (*notes, *self._notes))),
            took_s=self._deadline.took_s,
            first_s=self._first_s,
            thinking=whole_characters(thinking),
        )

    def _why_empty(self, thinking: str) -> str:
        """Why there is no answer, and what to do."""
        if self._tools or self._reason.lower() in _TOOLS:
            named = ", ".join(self._tools) or "a tool"
            return (
                f"the model wrote no answer: it asked for {named}, and nothing is called for it;"
                " name a model that answers by itself, or switch its tools off in the service"
            )
        if self._is_stopped:
            return "the model wrote no answer before it repeated itself; ask again, or another"
        if self._reason.lower() in _LENGTH:
            spent = "thinking took" if thinking else "its longest reply was reached by"
            return (
                f"the model wrote no answer: {spent} all the tokens of its reply;"
                " raise --max-tokens, or switch thinking off in the service"
            )
        if thinking:
            return (
                "the model wrote no answer: it thought and stopped; --thinking shows what it"
                " thought; ask again, or raise --max-tokens"
            )
        ended = f" (it ended with {self._reason!r})" if self._reason else ""
        return (
            f"the model wrote no answer at all{ended}; does it take pictures? ask again, or another"
        )

    def _note_first(self) -> None:
        if self._first_s is None:
            self._first_s = self._deadline.took_s

    def _hear(self, pieces: Iterable[Piece]) -> None:
        if self._tell:
            for kind, text in pieces:
                self._tell(kind, whole_characters(text))


def read_reply(lines: Iterable[str], collected: Collected) -> None:
    """Collects a reply from the lines of an answer's body, streamed or whole.

    Raises:
        ServiceFaultError: when it holds an error instead.
        ValueError: when it is no reply.
    """
    seen = ""
    for text in _bodies(lines):
        seen = seen or text[:200]
        if text.strip() == "[DONE]":
            if collected.has_begun:
                collected.is_whole()
            break
        _take(json.loads(text), collected)
        if collected.is_too_much:
            collected.stop_repeating()
            return
    if collected.is_nothing:
        what = f"there is no message in the answer: {seen!r}" if seen else "nothing was streamed"
        raise ValueError(f"{what} (a service that cannot stream needs --no-stream)")


def _bodies(lines: Iterable[str]) -> Iterator[str]:
    """The JSON texts of a body: events of a stream, one object a line, or one object in all.

    Source: WHATWG, server-sent events, "interpreting an event stream".
    """
    data: list[str] = []
    rest: list[str] = []
    n_chars = 0
    kind = ""
    for line in lines:
        n_chars += len(line)
        if n_chars > 100 * _MAX_CHARS:
            raise ValueError("the answer has no end")
        field, colon, value = line.partition(":")
        if colon and field in ("data", "error") and not rest:
            data.append(value.removeprefix(" "))
        elif not line.strip():
            if data:
                yield _event(kind, "\n".join(data))
            data, kind = [], ""
        elif not (line.startswith(":") or field in ("event", "id", "retry")) or rest:
            rest.append(line)
        elif field == "event":
            kind = value.strip()
    if data:
        yield _event(kind, "\n".join(data))
    yield from _objects(rest)


def _event(kind: str, text: str) -> str:
    """The JSON text of an event; some services say what is wrong in words, or in any object."""
    if kind != "error":
        return text
    try:
        values = json.loads(text)
    except ValueError:
        values = text
    is_told = isinstance(values, dict) and error_in(values) is not None
    return text if is_told else json.dumps({"error": values or "an error without words"})


def _objects(lines: list[str]) -> Iterator[str]:
    """One object in all, or one a line."""
    whole = "\n".join(lines)
    if not whole.strip():
        return
    try:
        json.loads(whole)
    except ValueError:
        if len(lines) < 2:
            raise ValueError(words_of(whole) or "nothing that can be read") from None
        yield from lines
        return
    yield whole


def _take(values: Any, collected: Collected) -> None:
    """Adds one object of the service."""
    if isinstance(values, list) and values:
        values = values[0]
    if not isinstance(values, dict):
        return
    choices = values.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    choice = choice if isinstance(choice, dict) else {}
    if (fault := error_in(values) or error_in(choice)) is not None:
        raise fault
    collected.add_facts(values)
    _take_choice(choice or values, collected)


def _take_choice(choice: Mapping[str, Any], collected: Collected) -> None:
    message = choice.get("delta") or choice.get("message")
    whole = isinstance(choice.get("message"), dict)
    if isinstance(message, dict):
        thinking = next((t for name in _THOUGHTS if (t := _text_of(message.get(name)))), "")
        collected.add_thinking(thinking)
        _add_content(message.get("content"), collected)
        collected.add_refusal(_text_of(message.get("refusal")))
        _add_tools(message, collected)
    elif isinstance(choice.get("text"), str):  # of a service that completes texts
        collected.add(choice["text"])
        whole = True
    reason = choice.get("finish_reason") or choice.get("done_reason")
    is_done = choice.get("done") is not False  # Ollama's own stream ends with true
    if reason or (whole and is_done):
        collected.ended(reason or "stop")


def _add_content(content: Any, collected: Collected) -> None:
    """Content is a string, or parts of several kinds."""
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict):
            collected.add(part if isinstance(part, str) else "")
            continue
        kind = str(part.get("type") or "text")
        if "think" in kind or "reason" in kind or part.get("thought") is True:
            collected.add_thinking(_text_of(part))
        elif "refusal" in kind:
            collected.add_refusal(_text_of(part))
        elif "tool" in kind or "function" in kind:
            collected.add_tool(str(part.get("name") or "a tool"))
        else:
            collected.add(_text_of(part))


def _add_tools(message: Mapping[str, Any], collected: Collected) -> None:
    calls = message.get("tool_calls")
    calls = calls if isinstance(calls, list) else []
    for call in [*calls, {"function": message.get("function_call")}]:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and function.get("name"):
            collected.add_tool(f"the tool {str(function['name'])[:60]!r}")


def _text_of(value: Any, depth: int = 0) -> str:
    """The text of a string, of a part, or of a list of either."""
    if isinstance(value, str):
        return value
    if depth > 3:
        return ""
    if isinstance(value, list):
        return "".join(_text_of(part, depth + 1) for part in value)
    if isinstance(value, dict):
        names = ("text", "thinking", "reasoning", "summary", "refusal", "content")
        texts = (_text_of(value.get(name), depth + 1) for name in names)
        return next((text for text in texts if text), "")
    return ""


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
