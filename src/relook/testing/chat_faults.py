"""What public chat services say when something is wrong, one row a shape. Layer: testing.

Each row serves streamed and whole requests alike. `chat_shapes` has the replies.

Source: the public references and issue trackers of the services that a row names.
"""

import json
from dataclasses import dataclass
from typing import Any

from relook.testing.chat_server import Behaviour, raw


@dataclass(frozen=True, slots=True)
class ErrorShape:
    """An error as a service sends it, and what a person reads.

    Args:
        name: Whose, and which.
        status: Of HTTP.
        body: JSON values, or text.
        code: Of the `AnswerError`.
        words: What its message holds of the service's own.
        hint: What its hint holds.
    """

    name: str
    status: int
    body: Any
    code: str
    words: str
    hint: str

    @property
    def behaviour(self) -> Behaviour:
        """What the service does."""
        is_text = isinstance(self.body, str)
        kind = "application/json"
        if is_text:
            kind = "text/event-stream" if self.body.startswith(("data:", "event:")) else "text/html"
        data = self.body if is_text else json.dumps(self.body)
        return raw(data.encode(), kind, self.status)


_MEMORY = "model requires more system memory (11.5 GiB) than is available (7.1 GiB)"
_NGINX = (
    "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center>"
    "<h1>413 Request Entity Too Large</h1></center>\r\n</body>\r\n</html>"
)
_CONTEXT = "This model's maximum context length is 4096 tokens. However, you requested 5321 tokens."

ERRORS: tuple[ErrorShape, ...] = (
    ErrorShape(
        "openai",
        400,
        {"error": {"message": "Invalid value: 'x'", "code": "y"}},
        "model_failed",
        "Invalid value",
        "pictures?",
    ),
    ErrorShape(
        "ollama: a string", 500, {"error": _MEMORY}, "model_failed", "11.5 GiB", "too little memory"
    ),
    ErrorShape(
        "ollama: no model",
        404,
        {"error": "model 'llava' not found"},
        "model_unknown",
        "'llava' not found",
        "ollama pull",
    ),
    ErrorShape(
        "fastapi: detail",
        422,
        {"detail": "the picture is no picture"},
        "model_failed",
        "no picture",
        "pictures?",
    ),
    ErrorShape(
        "fastapi: fields",
        422,
        {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]},
        "model_failed",
        "field required: messages",
        "pictures?",
    ),
    ErrorShape(
        "vllm: object error",
        400,
        {"object": "error", "message": _CONTEXT, "code": 400},
        "model_failed",
        "4096 tokens",
        "longer than the model takes",
    ),
    ErrorShape(
        "vllm: no pictures",
        400,
        {"error": {"message": "At most 0 image(s) may be provided in one prompt."}},
        "model_failed",
        "At most 0",
        "takes no pictures",
    ),
    ErrorShape(
        "llama.cpp: no projector",
        500,
        {
            "error": {
                "code": 500,
                "message": "image input is not supported: you may need to provide the mmproj",
            }
        },
        "model_failed",
        "not supported",
        "--mmproj",
    ),
    ErrorShape(
        "mistral: message",
        400,
        {"message": "Image content is not supported by this model"},
        "model_failed",
        "not supported",
        "takes no pictures",
    ),
    ErrorShape(
        "gemini: a list",
        400,
        [{"error": {"code": 400, "message": "Request payload is too large"}}],
        "model_failed",
        "too large",
        "picture is too large",
    ),
    ErrorShape(
        "openrouter: behind it",
        400,
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {"raw": '{"message": "unknown pixel format"}'},
            }
        },
        "model_failed",
        "unknown pixel format",
        "pictures?",
    ),
    ErrorShape(
        "cloudflare: errors",
        400,
        {"success": False, "errors": [{"code": 7, "message": "no route"}]},
        "model_failed",
        "no route",
        "pictures?",
    ),
    ErrorShape(
        "problem details",
        422,
        {"title": "Unprocessable", "detail": "too blurred"},
        "model_failed",
        "too blurred",
        "pictures?",
    ),
    ErrorShape(
        "anthropic-like: no money",
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"},
        },
        "model_failed",
        "credit balance",
        "no money left",
    ),
    ErrorShape(
        "payment required",
        402,
        {"error": {"message": "Insufficient Balance"}},
        "model_failed",
        "Insufficient Balance",
        "no money left",
    ),
    ErrorShape(
        "nginx: HTML",
        413,
        _NGINX,
        "model_failed",
        "413 Request Entity Too Large",
        "picture is too large",
    ),
    ErrorShape(
        "aws, azure: XML",
        400,
        "<?xml version='1.0'?><Error><Code>Bad</Code><Message>no such deployment</Message></Error>",
        "model_failed",
        "400: Bad no such deployment",
        "pictures?",
    ),
    ErrorShape("plain text", 400, "stop it", "model_failed", "stop it", "pictures?"),
    ErrorShape("no words", 400, "", "model_failed", "status 400", "pictures?"),
    ErrorShape(
        "a refused key",
        401,
        {"message": "Unauthorized"},
        "model_key_refused",
        "Unauthorized",
        "OPENAI_API_KEY",
    ),
    ErrorShape(
        "openai: no quota",
        429,
        {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        "model_busy",
        "current quota",
        "limit is reached",
    ),
    # under status 200
    ErrorShape(
        "an error as a success",
        200,
        {"error": {"message": "CUDA out of memory. Tried to allocate 2 GiB"}},
        "model_failed",
        "CUDA out of memory",
        "too little memory",
    ),
    ErrorShape(
        "openrouter: an error in a choice",
        200,
        {"choices": [{"error": {"code": 400, "message": "it crashed"}, "message": None}]},
        "model_failed",
        "it crashed",
        "pictures?",
    ),
    ErrorShape(
        "a streamed error",
        200,
        'data: {"error": {"message": "CUDA out of memory"}}\n\n',
        "model_failed",
        "CUDA out of memory",
        "too little memory",
    ),
    ErrorShape(
        "vllm: a streamed object",
        200,
        'data: {"object": "error", "message": "engine died", "code": 400}\n\ndata: [DONE]\n\n',
        "model_failed",
        "engine died",
        "pictures?",
    ),
    ErrorShape(
        "ollama: a string streamed",
        200,
        'data: {"error": "an unknown error was met"}\n\n',
        "model_failed",
        "unknown error",
        "log",
    ),
    ErrorShape(
        "minimax: base_resp",
        200,
        {"base_resp": {"status_code": 1004, "status_msg": "login fail"}, "choices": None},
        "model_failed",
        "login fail",
        "log",
    ),
    ErrorShape(
        "baidu: error_msg",
        200,
        {"error_code": 17, "error_msg": "daily limit reached"},
        "model_failed",
        "daily limit reached",
        "log",
    ),
    ErrorShape(
        "a streamed error in words",
        200,
        "event: error\ndata: the worker died\n\n",
        "model_failed",
        "the worker died",
        "log",
    ),
    ErrorShape(
        "a streamed error in an object without the word",
        200,
        'event: error\ndata: {"message": "kv cache full"}\n\n',
        "model_failed",
        "kv cache full",
        "log",
    ),
    ErrorShape(
        "gemini: a bad key, as a list",
        400,
        [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}],
        "model_key_refused",
        "API key not valid",
        "OPENAI_API_KEY",
    ),
    ErrorShape(
        "a quota under 400",
        400,
        {"error": {"message": "Quota exceeded for this project"}},
        "model_failed",
        "Quota exceeded",
        "limit with the service",
    ),
    ErrorShape(
        "a region that is not served",
        403,
        {"error": {"message": "Country, region, or territory not supported"}},
        "model_failed",
        "territory not supported",
        "from where you are",
    ),
    ErrorShape(
        "deep words",
        400,
        {"error": {"message": {"text": "deep"}}},
        "model_failed",
        "400: deep",
        "pictures?",
    ),
    ErrorShape("a number", 400, {"error": 42}, "model_failed", '{"error": 42}', "pictures?"),
    ErrorShape("a number as a success", 200, {"error": 42}, "model_failed", '{"error": 42}', "log"),
    ErrorShape("another name", 500, {"oops": 1}, "model_failed", '{"oops": 1}', "later"),
    ErrorShape(
        "a page",
        200,
        "<html><head><title>Welcome</title></head><body>Hello</body></html>",
        "model_bad_answer",
        "Welcome",
        "/v1",
    ),
    ErrorShape("nothing", 200, "", "model_bad_answer", "nothing was streamed", "/v1"),
)
