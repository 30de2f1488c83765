"""The types that the page's JavaScript is checked with are those of the API."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "pages" / "page_types.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("page_types", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["page_types"] = module
    spec.loader.exec_module(module)
    return module


page_types = _load()


def test_the_file_is_what_the_api_has_now() -> None:
    assert page_types.FILE.read_text("utf-8") == page_types.types_of(page_types.openapi())


def test_every_form_of_a_schema_becomes_a_type() -> None:
    box = {"type": "array", "prefixItems": [{"type": "number"}] * 2, "minItems": 2, "maxItems": 2}
    four = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    hit = {
        "description": "A hit.\n\nMore of it.",
        "type": "object",
        "required": ["id"],
        "properties": {
            "id": {"type": "integer"},
            "name@1": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "kind": {"enum": ["a", "b"]},
            "on": {"const": True},
            "box": box,
            "four": four,
            "many": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
            "by_name": {"type": "object", "additionalProperties": {"type": "number"}},
            "other": {"$ref": "#/components/schemas/Other-1"},
            "free": {},
        },
    }
    sent = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Other-1"}}}}
    optional = {"type": "boolean", "default": False}
    document = {
        "paths": {"/x": {"post": {"requestBody": sent}}},
        "components": {
            "schemas": {
                "Other-1": {"type": "object", "properties": {"flag": optional}},
                "Hit": hit,
            }
        },
    }
    assert page_types.types_of(document) == page_types.MADE + (
        "\ndeclare namespace Api {\n"
        "  /** A hit. */\n"
        "  type Hit = {\n"
        "    id: number;\n"
        '    "name@1": string | null;\n'
        '    kind?: "a" | "b";\n'
        "    on?: true;\n"
        "    box?: [number, number];\n"
        "    four?: [number, number, number, number];\n"
        "    many?: (string | null)[];\n"
        "    by_name?: Record<string, number>;\n"
        "    other?: Other_1;\n"
        "    free?: any;\n"
        "  };\n\n"
        "  type Other_1 = {\n"
        "    flag?: boolean;\n"
        "  };\n"
        "}\n"
    )
    with pytest.raises(ValueError, match="not translated"):
        page_types.type_of({"type": "date"}, "")
