"""From errors to answers: one table, one shape. Layer: gateway."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from relook.core.errors import (
    AccessError,
    AnswerError,
    ClusterError,
    EncoderMismatchError,
    FetchError,
    ImageError,
    InputError,
    LibraryBusyError,
    LibraryError,
    LibraryFormatError,
    MetadataError,
    MissingExtraError,
    ModelError,
    NotFoundError,
    OverloadError,
    QueryError,
    RelookError,
    RequestError,
    SignInError,
    StorageError,
    StoreError,
    TokenError,
    TooLargeError,
    TriesError,
)
from relook.core.picture_paths import printable

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.exceptions import RequestValidationError

_LOG = logging.getLogger(__name__)
RETRY_AFTER_S = 2
RETRY_TRIES_S = 900

STATUS: Mapping[type[RelookError], int] = MappingProxyType(
    {
        RelookError: 500,
        InputError: 400,
        QueryError: 400,
        ImageError: 422,
        MetadataError: 400,
        RequestError: 422,
        TooLargeError: 413,
        NotFoundError: 404,
        LibraryError: 500,
        LibraryBusyError: 409,
        LibraryFormatError: 500,
        EncoderMismatchError: 500,
        StorageError: 507,
        StoreError: 503,
        ClusterError: 503,
        MissingExtraError: 501,
        ModelError: 500,
        FetchError: 502,
        AnswerError: 502,
        AccessError: 403,
        TokenError: 401,
        SignInError: 401,
        TriesError: 429,
        OverloadError: 503,
    }
)
"""The one table from error class to status."""

_HTTP_CODES = {404: "no_route", 405: "bad_method", 400: "bad_request"}
_HTTP_HINTS = {404: "GET /openapi.json lists every route", 405: "see the Allow header"}


def answer(error: RelookError) -> JSONResponse:
    """The answer to a request that failed on purpose."""
    classes = (kind for kind in type(error).__mro__ if kind in STATUS)
    status = STATUS[next(classes)]
    headers = {}
    if status in (409, 503):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 429:
        headers["Retry-After"] = str(RETRY_TRIES_S)
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="relook"'
    return _shaped(status, error.code, error.message, error.hint, headers)


def internal(error: Exception) -> JSONResponse:
    """The answer to a request that failed by a fault of ours; what it was goes to the log."""
    _LOG.error("a request failed", exc_info=error)
    return _shaped(
        500, "internal", "the server made a mistake", "its log says more; please report it"
    )


def install(app: FastAPI) -> None:
    """Gives the app one shape for every error."""
    from fastapi.exceptions import RequestValidationError  # the guard does without FastAPI

    @app.exception_handler(RelookError)
    async def _on_ours(request: Request, error: RelookError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def _on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, RelookError):  # of a value that refused what it was made of
            return answer(cause)
        where = ".".join(str(step) for step in first["loc"])
        return _shaped(422, "bad_request", f"{where}: {first['msg']}", "see /openapi.json")

    @app.exception_handler(HTTPException)
    async def _on_http(request: Request, error: HTTPException) -> JSONResponse:
        code = _HTTP_CODES.get(error.status_code, "bad_request")
        hint = _HTTP_HINTS.get(error.status_code, "")
        headers = dict(error.headers or {})
        if error.status_code == 405 and (methods := _methods(app, request.url.path)):
            headers["Allow"] = ", ".join(methods)
        return _shaped(error.status_code, code, str(error.detail), hint, headers)


def _methods(app: FastAPI, path: str) -> list[str]:
    """Every method of a path; a router knows only those of the first route that fits."""
    allowed: set[str] = set()
    for template, methods in app.openapi()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path):
            allowed.update(method.upper() for method in methods)
    return sorted(allowed)


def _shaped(
    status: int, code: str, message: str, hint: str, headers: Mapping[str, Any] | None = None
) -> JSONResponse:
    body = {"code": code, "message": printable(message), "hint": printable(hint)}
    return JSONResponse({"error": body}, status, dict(headers or {}))
