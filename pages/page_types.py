"""Writes pages/check/api.d.ts from the API's OpenAPI document: what the page's JavaScript gets.

    python pages/page_types.py            writes it when it changed
    python pages/page_types.py --check    changes nothing; exit 1 when it is out of date

The page's JSDoc names these types as `Api.Hit`, `Api.Page`, ...; `make lint` has TypeScript check
the page against them, so a key that the server renames is found where the page reads it.
"""

import argparse
import logging
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = ROOT / "pages" / "check" / "api.d.ts"
MADE = "// Made by pages/page_types.py from the API's OpenAPI document; do not edit.\n"
PLAIN = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def main() -> int:
    """Writes or checks the file."""
    logging.disable(logging.WARNING)
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--check", action="store_true")
    check = made.parse_args().check
    text = types_of(openapi())
    if FILE.is_file() and FILE.read_text("utf-8") == text:
        return 0
    if check:
        print(f"{FILE.relative_to(ROOT)} is out of date; run: python pages/page_types.py")
        return 1
    FILE.write_text(text, "utf-8")
    print(f"wrote: {FILE.relative_to(ROOT)}")
    return 0


def openapi() -> dict[str, Any]:
    """The document of a server over an empty library."""
    from relook.app.facade import Library
    from relook.server.app import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app([Library(Path(folder, "library"))])
        try:
            document: dict[str, Any] = app.openapi()
        finally:
            app.state.relook.close()  # its threads would outlive the folder
    return document


def types_of(document: Mapping[str, Any]) -> str:
    """Every schema of a document as an exported type of the namespace `Api`."""
    lines = [MADE, "declare namespace Api {"]
    schemas = document["components"]["schemas"]
    sent = sent_schemas(document)
    for name, schema in sorted(schemas.items()):
        if summary := " ".join(str(schema.get("description", "")).split("\n\n")[0].split()):
            lines.append(f"  /** {summary} */")
        lines.append(f"  type {identifier(name)} = {type_of(schema, '  ', name in sent)};\n")
    return "\n".join(lines).rstrip() + "\n}\n"


def sent_schemas(document: Mapping[str, Any]) -> set[str]:
    """The schemas of what a page sends, where a key with a default may be left out."""
    schemas = document["components"]["schemas"]
    routes = [route for path in document["paths"].values() for route in path.values()]
    waiting = _references([route.get("requestBody", {}) for route in routes])
    sent: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in sent:
            sent.add(name)
            waiting |= _references(schemas[name])
    return sent


def _references(value: object) -> set[str]:
    """The schemas that a part of the document refers to."""
    if isinstance(value, Mapping):
        here = {str(value["$ref"]).rpartition("/")[2]} if "$ref" in value else set()
        return here.union(*(_references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(item) for item in value))
    return set()


def identifier(name: str) -> str:
    """A schema's name as a name of TypeScript."""
    return re.sub(r"\W+", "_", name)


def type_of(schema: Mapping[str, Any], indent: str, sent: bool = False) -> str:
    """One schema as a type.

    Raises:
        ValueError: the schema has a form that is not translated yet.
    """
    if "$ref" in schema:
        return identifier(schema["$ref"].rpartition("/")[2])
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(type_of(kind, indent, sent) for kind in several))
    if "const" in schema or "enum" in schema:
        return " | ".join(map(literal, schema.get("enum") or [schema["const"]]))
    kind = schema.get("type")
    if kind in ("array", "object"):
        return array(schema, indent) if kind == "array" else record(schema, indent, sent)
    if kind is not None and kind not in PLAIN:
        raise ValueError(f"a schema of type {kind!r} is not translated: {schema}")
    return "any" if kind is None else PLAIN[kind]


def literal(value: object) -> str:
    """A value that is a type of its own."""
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def array(schema: Mapping[str, Any], indent: str) -> str:
    """A list, or a tuple where each place has a type."""
    if "prefixItems" in schema:
        return "[" + ", ".join(type_of(kind, indent) for kind in schema["prefixItems"]) + "]"
    inner = type_of(schema.get("items", {}), indent)
    n = schema.get("minItems")
    if n and n == schema.get("maxItems"):
        return "[" + ", ".join([inner] * n) + "]"
    return f"({inner})[]" if " | " in inner else f"{inner}[]"


def record(schema: Mapping[str, Any], indent: str, sent: bool) -> str:
    """An object with keys, or one that maps text to values."""
    if "properties" not in schema:
        values = schema.get("additionalProperties", True)
        inner = type_of(values, indent) if isinstance(values, Mapping) else "any"
        return f"Record<string, {inner}>"
    required = schema.get("required", ())
    lines = []
    for key, kind in schema["properties"].items():
        name = key if re.fullmatch(r"[A-Za-z_]\w*", key) else f'"{key}"'
        optional = "" if key in required or ("default" in kind and not sent) else "?"
        lines.append(f"{indent}  {name}{optional}: {type_of(kind, indent + '  ', sent)};")
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


if __name__ == "__main__":
    sys.exit(main())
