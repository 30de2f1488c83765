"""The sizing tables of docs/scale.md are what the script makes of the measured figures."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def sizing() -> ModuleType:
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("sizing", ROOT / "benchmarks" / "sizing.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["sizing"] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(folder)


def test_the_page_has_what_the_script_makes(sizing: ModuleType) -> None:
    text = (ROOT / "docs" / "scale.md").read_text("utf-8")
    measured = sizing.Measured.read(ROOT / "benchmarks" / "sizing.json")
    assert sizing.between(text, sizing.page(measured, 1.0)) == text


def test_machines_and_money_follow_from_bytes_and_rate(sizing: ModuleType) -> None:
    measured = sizing.Measured(512, 4, {"FLAT": 2048.0}, 1000.0, 300.0, 12.5)
    made = sizing.page(measured, 3.0)
    # 8,192 bytes an image; 45 GiB of a machine hold 5.87 million images.
    assert "| 10,000,000 | FLAT | 8,192 | 81.9 GB | 2 | 438.00 |" in made
    # 200 images a second and machine: 1.39 hours a million, at 3 an hour.
    assert "200 images a second and machine, 1.39 machine hours and 4.17 a million images" in made
    assert "| 1,000,000,000 | 1,388.9 | 58 days | 5.8 days | 13.9 h |" not in made
    assert "| 1,000,000,000 | 1,388.9 | 58 days | 6 days | 13.9 h |" in made
