"""Makes failures of a chat service readable: what it said, and what to do. Layer: answerers.

Services say what is wrong in many shapes (`{"error": {"message"}}`, `{"error": "..."}`, `{"detail":
[...]}`, HTML, an error inside a stream). Their words are kept in all of them.

Source: the public error references of the services named in the tests' table.
"""

import json
import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2
import openai

from relook.core.errors import AnswerError
from relook.core.plain_text import plain
from relook.core.retry import retry_after_s

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529)
_SHOWN_CHARS = 300
_WORDS = (
    "error", "errors", "detail", "message", "msg", "Message", "error_message", "error_msg",
    "errorMessage", "error_description", "description", "title", "reason", "status_msg",
    "base_resp", "fault", "faultstring", "response", "body",
)  # fmt: skip
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]{0,500}>", re.DOTALL | re.IGNORECASE)


class ServiceFaultError(Exception):
    """A service said under status 200, or in a stream, that something is wrong.

    Args:
        body: The object that says so.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(words_of(body) or _as_it_is(body))
        self.body = body
        self.status = _status_in(body)


def error_in(values: Mapping[str, Any]) -> ServiceFaultError | None:
    """The error that an object holds instead of a reply; None when it holds none."""
    if values.get("error") or values.get("errors") or values.get("object") == "error":
        return ServiceFaultError(values)
    if values.get("type") == "error":
        return ServiceFaultError(values)
    if "detail" in values and not values.get("choices"):
        return ServiceFaultError(values)
    if values.get("error_code") or values.get("error_msg"):
        return ServiceFaultError(values)
    status = values.get("base_resp")
    if isinstance(status, dict) and status.get("status_code") and not values.get("choices"):
        return ServiceFaultError(values)
    return None


def words_of(body: Any, depth: int = 0) -> str:
    """What an error's body says, in one line; empty when it says nothing.

    Args:
        body: JSON values, or text; of HTML the words are taken.
        depth: Of values inside values.
    """
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        return _plain(body, depth)
    if depth > 5:
        return ""
    if isinstance(body, list):
        texts = (words_of(part, depth + 1) for part in body[:3])
        return "; ".join(text for text in texts if text)
    if not isinstance(body, dict):
        return ""
    parts: list[str] = []
    for name in _WORDS:
        text = words_of(body.get(name), depth + 1)
        if text and not any(text in known for known in parts):
            parts.append(text)
    metadata = body.get("metadata")
    if isinstance(metadata, dict):  # OpenRouter: what the service behind it said
        parts.append(words_of(metadata.get("raw"), depth + 1))
    if isinstance(body.get("loc"), list):  # FastAPI: which field
        parts.append(".".join(str(part) for part in body["loc"] if part != "body"))
    if not any(parts):  # words under a name that no service was known to use
        parts = [words_of(value, depth + 1) for value in body.values()]
    return _short(": ".join(part for part in parts if part))


def _as_it_is(body: Any) -> str:
    """A body without words, as JSON."""
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
    return "" if text.strip() in ("", "{}", "[]", "null") else _short(text)


def _plain(text: str, depth: int) -> str:
    text = text.strip()
    if text[:1] in ("{", "[") and depth <= 5:
        try:
            return words_of(json.loads(text), depth + 1)
        except ValueError:
            pass
    if re.match(r"<(?:!doctype|html|head|body|center|h1|\?xml|error)", text, re.IGNORECASE):
        text = unescape(_TAGS.sub(" ", text))
    return _short(text)


def said(error: Exception) -> str:
    """What the service said in an error of any kind."""
    if isinstance(error, openai.APIStatusError):
        try:
            body: Any = error.response.text
        except httpx2.ResponseNotRead:
            body = error.body
        return words_of(body) or _as_it_is(body) or f"(no words; status {error.status_code})"
    return _short(str(error) or type(error).__name__)


def status_of(error: Exception) -> int | None:
    """The HTTP status of an error, or the one that stands in its body."""
    if isinstance(error, openai.APIStatusError):
        return error.status_code
    return error.status if isinstance(error, ServiceFaultError) else None


def _status_in(body: Mapping[str, Any]) -> int | None:
    inner = body.get("error")
    for values in (inner if isinstance(inner, dict) else {}, body):
        for name in ("status", "status_code", "code", "statusCode"):
            value = values.get(name)
            if isinstance(value, (int, str)) and re.fullmatch(r"[45]\d\d", str(value)):
                return int(value)
    return None


_IN_CONFIG = "[ask] picture_px in a configuration"
# What services say, and what to do about it. The first that fits counts.
_KINDS: tuple[tuple[str, str], ...] = (
    (
        r"out of memory|more (?:system |gpu )?memory"
        r"|(?:insufficient|not enough) .{0,20}memory|\boom\b"
        r"|(?:cannot|unable to|failed to) allocate|cudamalloc|memory available",
        "the machine that runs the model has too little memory: take a smaller or more quantised"
        f" model, or send a smaller picture ({_IN_CONFIG})",
    ),
    (
        r"context (?:length|size|window)|maximum context|too many tokens|prompt is too long"
        r"|input is too long|exceeds the (?:available|maximum) |max_model_len|n_ctx|token limit",
        "the prompt is longer than the model takes: fewer items ([evidence] items), a smaller"
        f" picture ({_IN_CONFIG}), or a larger context in the service",
    ),
    (
        r"(?:payload|entity|request|image|body|file|content|picture).{0,60}(?:too|exceed)[s ]{0,3}"
        r"(?:large|big|\d| .{0,30}(?:size|limit|maximum))|content length exceed"
        r"|larger than the (?:max|limit)",
        f"the picture is too large for the service: send a smaller one ({_IN_CONFIG})",
    ),
    (
        r"(?:not support|unsupported|no support|does not accept|not accept|not allowed|takes no"
        r"|cannot (?:process|read)|not a multimodal|not multimodal|no endpoints).{0,60}"
        r"(?:image|vision|picture|multi-?modal|image_url)"
        r"|(?:image|vision|multi-?modal|image_url|picture).{0,60}"
        r"(?:not (?:been )?support|unsupported|not (?:available|enabled))"
        r"|mmproj|at most 0 image|takes no pictures|unknown variant.{0,3}image_url",
        "this model takes no pictures: name one that does (with llama.cpp, start it with --mmproj)",
    ),
    (
        r"insufficient_quota|credit|billing|payment|balance|out of funds"
        r"|exceeded your current quota",
        "your account with the service has no money left: add some, or ask another model",
    ),
    (
        r"(?:region|country|location|territory).{0,40}"
        r"(?:not (?:be |been )?support|unsupported|not (?:available|allowed)|blocked|restricted)"
        r"|(?:not (?:be |been )?support\w*|unsupported|not available).{0,30}"
        r"(?:region|country|location|territory)",
        "the service does not answer from where you are: ask another",
    ),
    (
        r"\bquotas?\b",
        "your account's limit with the service is reached: ask again later, or another model",
    ),
)
_NO_MONEY = _KINDS[-3]
_BAD_KEY = re.compile(
    r"api[ _-]?key.{0,40}(?:not valid|invalid|incorrect|missing|expired|not found|required)"
    r"|(?:invalid|incorrect|missing|no|wrong|expired).{0,20}api[ _-]?key",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model.{0,80}(?:not found|not exist|no such|unknown|not loaded|is not available)"
    r"|try pulling it|no models? loaded|invalid model",
    re.IGNORECASE,
)
_FILTERED = re.compile(
    r"content[_ ]filter|content management policy|safety system|moderation|content[_ ]policy"
    r"|data_inspection_failed|inappropriate content|responsible ?ai",
    re.IGNORECASE,
)


def kind_of(text: str) -> str:
    """What to do about what a service said; empty where its words are of no known kind."""
    return next((hint for words, hint in _KINDS if re.search(words, text, re.IGNORECASE)), "")


def is_refusal(error: Exception) -> bool:
    """Whether a filter of the service refused the prompt, which is a reply and no failure."""
    status = status_of(error)
    text = said(error)
    if isinstance(error, openai.APIStatusError):
        text = f"{text} {error.code or ''} {error.type or ''}"
    return status in (None, 400, 403, 422, 451) and bool(_FILTERED.search(text))


def is_passing(error: Exception) -> bool:
    """Whether the same request may be answered a little later."""
    if isinstance(error, openai.APITimeoutError):
        return False  # it had all the time
    status = status_of(error)
    if status is not None:
        return status in PASSING and not _is_lasting(error)
    return isinstance(error, openai.APIConnectionError)


def _is_lasting(error: Exception) -> bool:
    text = f"{said(error)} {getattr(error, 'code', None) or ''}"
    return bool(kind_of(text)) and not (status_of(error) == 429 and not _is_out_of_money(error))


def _is_out_of_money(error: Exception) -> bool:
    code = getattr(error, "code", None)
    return code == "insufficient_quota" or bool(re.search("insufficient_quota", said(error)))


def wanted_pause_s(error: Exception) -> float | None:
    """Seconds after which the service wants the next attempt; None when it does not say."""
    if not isinstance(error, openai.APIStatusError):
        return None
    return retry_after_s(error.response.headers.get("retry-after", ""))


def what_failed(error: Exception, host: str, model: str, pause_s: float) -> AnswerError:
    """The error that a person reads.

    Args:
        error: What the client or the reader raised.
        host: The service.
        model: The model that was asked for.
        pause_s: After how long the service might answer again.
    """
    if isinstance(error, (openai.APITimeoutError, TimeoutError)):
        return AnswerError(
            "model_too_slow", f"{host} did not answer in time", "give it longer: --model-timeout"
        )
    if isinstance(error, (openai.APIStatusError, ServiceFaultError)):
        return _of_service(error, host, model, pause_s)
    if isinstance(error, openai.APIConnectionError):
        why = error.__cause__ or error
        hint = "is it running? check --base-url"
        if isinstance(why, httpx2.ProxyError):
            hint = "a proxy stands between: check HTTPS_PROXY and ALL_PROXY, or set NO_PROXY"
        return AnswerError("model_not_reached", f"cannot reach {host}: {why}", hint)
    return AnswerError(
        "model_bad_answer",
        f"{host} does not answer as a chat service does: {_short(str(error))}",
        "check --base-url: it usually ends in /v1",
    )


def _of_service(error: Exception, host: str, model: str, pause_s: float) -> AnswerError:
    status, reason = status_of(error), said(error)
    if isinstance(error, openai.APIStatusError) and error.response.has_redirect_location:
        return _of_redirect(error, host, model)
    shown = f"{host} answered with status {status}" if status else f"{host} answered with an error"
    if _is_of_key(status, reason):
        return AnswerError(
            "model_key_refused", f"{host} refuses the key ({status or 'it says'}): {reason}",
            "set OPENAI_API_KEY to a key of this service",
        )  # fmt: skip
    if status == 404 or (_NO_MODEL.search(reason) and status not in PASSING):
        return AnswerError(
            "model_unknown", f"{host} has no model {model!r}, or no such address: {reason}",
            "check --model and --base-url; the address usually ends in /v1 (with Ollama: ollama"
            f" pull {model})",
        )  # fmt: skip
    if status == 429:
        again = "" if _is_out_of_money(error) else f"; ask again in {pause_s:.0f} s"
        return AnswerError(
            "model_busy", f"{host} takes no more requests just now: {reason}",
            f"your account's limit is reached{again}",
        )  # fmt: skip
    return AnswerError("model_failed", f"{shown}: {reason}", _what_to_do(status, reason))


def _is_of_key(status: int | None, reason: str) -> bool:
    """Whether a service refuses the key, and not the place, the prompt or the account."""
    if status == 403:
        return bool(_BAD_KEY.search(reason)) or not kind_of(reason)
    return status == 401 or (status in (None, 400) and bool(_BAD_KEY.search(reason)))


def _of_redirect(error: openai.APIStatusError, host: str, model: str) -> AnswerError:
    """Where a redirect points, without what may be secret in it, and how to agree to that."""
    response = error.response
    try:
        target = urlsplit(urljoin(str(response.request.url), response.headers["location"]))
        address = f"{target.scheme}://{target.netloc.rpartition('@')[2]}{target.path}"
    except ValueError:
        address = "an address that cannot be read"
    base = address.removesuffix("/").removesuffix("/chat/completions")
    return AnswerError(
        "model_redirects",
        f"{host} answered with status {error.status_code}: it points to {plain(address, 200)}."
        " Nothing was sent there",
        f"if you trust that address, name it: openai:{model}@{plain(base, 200)}",
    )


def _what_to_do(status: int | None, reason: str) -> str:
    if kind := kind_of(reason):
        return kind
    if status == 413:
        return f"the picture is too large for the service: send a smaller one ({_IN_CONFIG})"
    if status == 402:
        return _NO_MONEY[1]
    if status in (400, 415, 422):
        return "does the model take pictures?"
    if status is None:
        return "its log says more; ask again, or another model"
    return "try again later"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"
