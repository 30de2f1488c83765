"""The API's reference as one plain page, made from the OpenAPI document. Layer: server.

No script and nothing from elsewhere: the usual viewers load theirs from a third party.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

__all__ = ["reference_page"]

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Relook API</title></head><body><main>
<h1>Relook API</h1>
<p>For programs: <a href="/openapi.json">openapi.json</a>. Every error is
<code>{"error": {"code", "message", "hint"}}</code>.</p>
"""


def reference_page(document: Mapping[str, Any]) -> str:
    """HTML that lists every route with its parameters, body and answers."""
    parts = [_HEAD]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            parts.append(_route(path, method, route))
    parts.append("<h2>Values</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(_schema(name, schema))
    return "\n".join(parts) + "</main></body></html>\n"


def _route(path: str, method: str, route: Mapping[str, Any]) -> str:
    lines = [f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"]
    lines.append(f"<p>{escape(route.get('description', route.get('summary', '')))}</p><ul>")
    for one in route.get("parameters", ()):
        told = one.get("description") or _kind(one["schema"])
        needed = "" if one.get("required") else " (optional)"
        where = f"{one['in']} <code>{escape(one['name'])}</code>{needed}"
        lines.append(f"<li>{where}: {escape(told)}</li>")
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<li>body {escape(kind)}: {_link(body.get('schema', {}))}</li>")
    for status, answer in route["responses"].items():
        if status.startswith("2"):
            content = answer.get("content", {}).items()
            shown = ", ".join(f"{escape(k)} {_link(v.get('schema', {}))}" for k, v in content)
            lines.append(f"<li>{status}: {shown or 'nothing'}</li>")
    return "\n".join(lines) + "</ul></section>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f'<section id="{escape(name)}"><h3>{escape(name)}</h3>']
    lines.append(f"<p>{escape(schema.get('description', ''))}</p><ul>")
    for key, one in schema.get("properties", {}).items():
        told = one.get("description", "")
        lines.append(f"<li><code>{escape(key)}</code>: {_link(one)} {escape(told)}</li>")
    return "\n".join(lines) + "</ul></section>"


def _link(schema: Mapping[str, Any]) -> str:
    """A value's kind, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "items" in schema:
        return f"list of {_link(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(_link(one) for one in schema["anyOf"])
    return escape(_kind(schema))


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("type", "any"))
