"""Every test has a home of its own: none finds what another, or the person, left in theirs."""

import gc
import itertools
import os
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

KINDS = ("DATA", "CACHE", "CONFIG", "STATE")
# What the suite itself reads; every other RELOOK_* variable is the person's.
OURS = (
    "RELOOK_KILLS", "RELOOK_LIVES", "RELOOK_LOOKS", "RELOOK_SEED", "RELOOK_TEST_MILVUS",
)  # fmt: skip
_homes = pytest.StashKey[tempfile.TemporaryDirectory]()
_numbers = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """For what is made before a test, as the fixtures of a module are."""
    config.stash[_homes] = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    for name in [name for name in os.environ if name.startswith("RELOOK_") and name not in OURS]:
        del os.environ[name]
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that load ONNX Runtime themselves
    # Threads for matrices wait by spinning. A test that asked torch for two made all that came
    # after it in its process take three times the work.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for kind in KINDS:
        os.environ[f"XDG_{kind}_HOME"] = os.path.join(config.stash[_homes].name, "shared", kind)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays to the end; looking for garbage in it again and again takes time.

    So does looking in what a test has just made, after each 700 things, as Python does by itself.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_homes].cleanup()


@pytest.fixture(autouse=True)
def own_home(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's libraries, caches and settings are by default; made by what needs it."""
    home = Path(pytestconfig.stash[_homes].name, str(next(_numbers)))
    for kind in KINDS:
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind))
    return home
