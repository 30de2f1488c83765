"""What public chat services send, one row a shape: replies. Layer: testing.

    for shape in REPLIES:
        with chat_server(shape.behaviour) as server:
            ...  # shape.text, shape.thinking, shape.finish

Each row serves streamed and whole requests alike. `chat_faults` has the errors.

Source: the public references and issue trackers of the services that a row names.
"""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from relook.answerers.base import Finish
from relook.testing.chat_server import Behaviour, Handler, whole_reply


@dataclass(frozen=True, slots=True)
class ReplyShape:
    """A reply as a service sends it, and what it is.

    Args:
        name: Whose, and which.
        message: Fields of the message, or of the pieces of a stream.
        text, thinking: What a reader gets.
        finish: How it ended.
        reason: The service's own word for that.
        note: Words that one of the notes holds.
    """

    name: str
    message: dict[str, Any]
    text: str = "A red bus [1]."
    thinking: str = ""
    finish: Finish = Finish.DONE
    reason: str | None = "stop"
    note: str = ""

    @property
    def behaviour(self) -> Behaviour:
        """What the service does."""
        return message(self.message, self.reason)


def message(fields: dict[str, Any], reason: str | None = "stop") -> Behaviour:
    """Sends a message of any fields; streamed, strings come in pieces of five characters."""

    def behave(handler: Handler, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            handler.send(200, whole_reply({"role": "assistant", **fields}, reason))
            return
        with suppress(OSError):  # a reader may have enough of a reply that does not end
            _stream(handler, fields, reason)

    return behave


def _stream(handler: Handler, fields: dict[str, Any], reason: str | None) -> None:
    handler.begin_stream()
    handler.piece(role="assistant", content="")
    for name, value in fields.items():
        step = 5 if isinstance(value, str) else 0
        parts = [value[at : at + step] for at in range(0, len(value), step)] if step else [value]
        for part in parts:
            handler.piece(**{name: part})
    handler.piece(finish=reason)
    handler.end_stream()


_BUS = "A red bus [1]."
_PASSAGE = (
    "I see a bus that stands before a house. It may be red, and there is a tree beside it with"
    " leaves. Behind the tree there is a wall, and before the wall a man who looks at the bus."
)
_WHY = "It may be [2] a bus."
_TOOL = {"id": "t1", "index": 0, "type": "function",
         "function": {"name": "search_web", "arguments": "{}"}}  # fmt: skip


def _tagged(name: str, text: str, **more: Any) -> ReplyShape:
    return ReplyShape(name, {"content": text}, **{"thinking": _WHY, **more})


REPLIES: tuple[ReplyShape, ...] = (
    ReplyShape("plain", {"content": _BUS}),
    # thoughts in a field of their own
    ReplyShape(
        "deepseek, vllm: reasoning_content",
        {"reasoning_content": _WHY, "content": _BUS},
        thinking=_WHY,
    ),
    ReplyShape(
        "openrouter, ollama: reasoning", {"reasoning": _WHY, "content": _BUS}, thinking=_WHY
    ),
    ReplyShape(
        "openrouter: both of its fields",
        {"reasoning_details": [{"type": "reasoning.text", "text": _WHY}], "content": _BUS},
        thinking=_WHY,
    ),
    ReplyShape("ollama: thinking", {"thinking": _WHY, "content": _BUS}, thinking=_WHY),
    ReplyShape(
        "litellm: thinking_blocks",
        {"thinking_blocks": [{"type": "thinking", "thinking": _WHY}], "content": _BUS},
        thinking=_WHY,
    ),
    # thoughts between tags
    _tagged("deepseek, qwen: think", f"<think>\n{_WHY}\n</think>\n\n{_BUS}"),
    _tagged("qwen: a closing tag alone", f"{_WHY}\n</think>\n\n{_BUS}"),
    _tagged("qwen: nothing thought", f"<think>\n\n</think>\n\n{_BUS}", thinking=""),
    _tagged("claude-like: thinking", f"<thinking>{_WHY}</thinking>{_BUS}"),
    _tagged("seed: namespaced", f"<seed:think>{_WHY}</seed:think>{_BUS}"),
    _tagged("longcat: prefixed", f"<longcat_think>{_WHY}</longcat_think>{_BUS}"),
    _tagged("magistral", f"[THINK]{_WHY}[/THINK]{_BUS}"),
    _tagged("kimi-vl", f"◁think▷{_WHY}◁/think▷{_BUS}"),
    _tagged(
        "command",
        f"<|START_THINKING|>{_WHY}<|END_THINKING|><|START_RESPONSE|>{_BUS}<|END_RESPONSE|>",
    ),
    _tagged("gemma 4", f"<|channel>thought\n{_WHY}<channel|>{_BUS}<turn|>"),
    _tagged("glm: a box", f"<think>{_WHY}</think><|begin_of_box|>{_BUS}<|end_of_box|>"),
    _tagged("hunyuan: an answer tag", f"<think>{_WHY}</think>\n<answer>\n{_BUS}\n</answer>"),
    _tagged(
        "gpt-oss: harmony",
        f"<|channel|>analysis<|message|>{_WHY}<|end|><|start|>assistant<|channel|>final<|message|>"
        f"{_BUS}<|return|>",
    ),
    _tagged("gpt-oss: harmony without its marks", f"analysis{_WHY}assistantfinal{_BUS}"),
    # turns
    _tagged("llava: turns", f"USER: What is this? ASSISTANT: {_BUS}</s>", thinking=""),
    _tagged("a model that goes on asking", f"{_BUS}\nUSER: And this?\nASSISTANT:", thinking=""),
    _tagged("deepseek: its end", f"{_BUS}<\uff5cend\u2581of\u2581sentence\uff5c>", thinking=""),
    _tagged("chatml", f"{_BUS}<|im_end|>", thinking=""),
    # content as parts
    ReplyShape(
        "mistral: parts",
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": _WHY}]},
                {"type": "text", "text": _BUS},
            ]
        },
        thinking=_WHY,
    ),
    ReplyShape(
        "output_text parts",
        {
            "content": [
                {"type": "output_text", "text": "A red bus "},
                {"type": "output_text", "text": "[1]."},
            ]
        },
    ),
    # refusals
    ReplyShape(
        "openai: refusal",
        {"content": None, "refusal": "I will not."},
        "I will not.",
        finish=Finish.REFUSED,
    ),
    ReplyShape(
        "azure: content_filter", {"content": ""}, "", finish=Finish.REFUSED, reason="content_filter"
    ),
    ReplyShape("gemini: SAFETY", {"content": None}, "", finish=Finish.REFUSED, reason="SAFETY"),
    # ends
    ReplyShape(
        "gemini: MAX_TOKENS",
        {"content": "A red"},
        "A red",
        finish=Finish.LENGTH,
        reason="MAX_TOKENS",
    ),
    ReplyShape(
        "deepseek: no resources",
        {"content": "A red"},
        "A red",
        finish=Finish.CUT_OFF,
        reason="insufficient_system_resource",
        note="insufficient_system_resource",
    ),
    # nothing
    ReplyShape(
        "nothing at all", {"content": ""}, "", finish=Finish.EMPTY, note="wrote no answer at all"
    ),
    ReplyShape("null", {"content": None}, "", finish=Finish.EMPTY, note="wrote no answer at all"),
    ReplyShape(
        "only thoughts",
        {"content": None, "reasoning": _WHY},
        "",
        _WHY,
        Finish.EMPTY,
        note="it thought and stopped",
    ),
    ReplyShape(
        "thoughts to the last token",
        {"reasoning_content": _WHY, "content": ""},
        "",
        _WHY,
        Finish.EMPTY,
        "length",
        "thinking took all the tokens",
    ),
    ReplyShape(
        "a tag that never closes",
        {"content": f"<think>{_WHY}"},
        "",
        _WHY,
        Finish.EMPTY,
        "length",
        "--max-tokens",
    ),
    ReplyShape(
        "a tool is called",
        {"content": None, "tool_calls": [_TOOL]},
        "",
        "",
        Finish.EMPTY,
        "tool_calls",
        "asked for the tool 'search_web'",
    ),
    ReplyShape(
        "a function is called",
        {"content": None, "function_call": {"name": "look", "arguments": "{}"}},
        "",
        "",
        Finish.EMPTY,
        "function_call",
        "the tool 'look'",
    ),
    ReplyShape(
        "a model that does not stop",
        {"content": "The bus is red. " * 400},
        "The bus is red. The bus is red. The bus is red. \u2026",
        finish=Finish.LENGTH,
        note="repeats itself",
    ),
    ReplyShape(
        "a model that does not stop after its answer",
        {"content": f"{_BUS}\n\n" + f"{_PASSAGE}\n" * 60},
        f"{_BUS}\n\n{_PASSAGE}\n{_PASSAGE} \u2026",
        finish=Finish.LENGTH,
        note="repeats itself",
    ),
    ReplyShape(
        "a model that does not stop thinking",
        {"content": "<think>" + "Wait. Is it [2]? " * 400},
        "",
        "Wait. Is it [2]? Wait. Is it [2]? Wait. Is it [2]? \u2026",
        Finish.EMPTY,
        note="before it repeated itself",
    ),
    ReplyShape(
        "a tool called in the text",
        {"content": '<tool_call>{"name": "search", "arguments": {}}</tool_call>'},
        "",
        finish=Finish.EMPTY,
        note="the tool 'search'",
    ),
    ReplyShape(
        "a tool called in the text, as Llama does",
        {"content": '<function=look>{"at": [2]}</function>'},
        "",
        finish=Finish.EMPTY,
        note="the tool 'look'",
    ),
    ReplyShape(
        "a sentence about a mark",
        {"content": "In HTML the tag <think> is not standard. It is a dog [1]."},
        "In HTML the tag <think> is not standard. It is a dog [1].",
    ),
    ReplyShape("an end that says no why", {"content": _BUS}, reason=None),
)
