"""The fuzzing targets for a short while: bytes, spoiled seeds, and JSON of any shape."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = Path(__file__).parents[2] / "fuzz" / "targets.py"
QUICK = settings(
    max_examples=int(os.environ.get("RELOOK_FUZZ_EXAMPLES", "40")),
    deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
JSON_TARGETS = (
    "session", "jsonl", "coco", "manifest", "google", "serpapi", "exact", "bing", "yandex",
    "searxng", "replay",
)  # fmt: skip
ODD = st.sampled_from(
    [None, True, 0, -1, 2**70, 1e308, float("inf"), float("nan"), "", "\ud800", "x" * 300, "\0",
     [], {}, [[]], [None], {"": None}, "http://[", "https://a.example/"],
)  # fmt: skip


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzz_targets", FUZZ)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz_targets"] = module
    spec.loader.exec_module(module)
    return module


TARGETS = _load().TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_pass(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(data=st.data())
def test_spoiled_seeds_and_noise(name: str, data: st.DataObject) -> None:
    target = TARGETS[name]
    found = bytearray(data.draw(st.sampled_from(target.seeds)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(found)))
        gone = data.draw(st.integers(0, 12))
        found[at : at + gone] = data.draw(st.one_of(st.binary(max_size=8), _words()))
    target.run(bytes(found))


def _words() -> st.SearchStrategy[bytes]:
    return st.text(max_size=8).map(lambda text: text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", JSON_TARGETS)
@QUICK
@given(data=st.data())
def test_json_with_odd_values_in_its_places(name: str, data: st.DataObject) -> None:
    """One value somewhere in the seed becomes another one: what parsers trip over most."""
    target = TARGETS[name]
    seed = target.seeds[0]
    begin = seed[: seed.index(b"{")]
    values = json.loads(seed[len(begin) :])
    for _ in range(data.draw(st.integers(1, 2))):
        values = _spoiled(values, data)
    target.run(begin + json.dumps(values).encode())


def _spoiled(values: object, data: st.DataObject) -> object:
    if isinstance(values, dict) and values and data.draw(st.integers(0, 5)):
        key = data.draw(st.sampled_from(sorted(values)))
        return {**values, key: _spoiled(values[key], data)}
    if isinstance(values, list) and values and data.draw(st.integers(0, 5)):
        at = data.draw(st.integers(0, len(values) - 1))
        return [*values[:at], _spoiled(values[at], data), *values[at + 1 :]]
    return data.draw(ODD)


@pytest.mark.parametrize("name", TARGETS)
def test_depth_and_length(name: str) -> None:
    for data in (b"[" * 100_000, b'{"a":' * 50_000, b"(" * 9_000, b"9" * 5_000, b"- " * 5_000):
        TARGETS[name].run(data)
        TARGETS[name].run(b"\0" + data)
