"""The sample plugin as a stranger has it: installed, tested by its own tests, used by commands."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relook.testing import noise, solid

SAMPLE = Path(__file__).parents[2] / "examples" / "relook-sample-plugin"


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the package installed by pip, from its folder alone."""
    place = tmp_path_factory.mktemp("sample")
    shutil.copytree(SAMPLE, place / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--no-deps", "--no-build-isolation", "--no-index", "--target", str(place / "site"),
        str(place / "source"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(place / "site"), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ, "PYTHONPATH": path.rstrip(os.pathsep), "PYTHONDONTWRITEBYTECODE": "1",
        "RELOOK_CONFIG": str(place / "config"), "RELOOK_CACHE": str(place / "cache"),
    }  # fmt: skip


def run(env: dict[str, str], *arguments: object) -> str:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_its_own_tests_pass(env: dict[str, str]) -> None:
    told = run(env, "-m", "pytest", "-p", "no:cacheprovider", "-c", os.devnull, SAMPLE / "tests")
    assert "3 passed" in told


def test_its_encoder_captioner_and_provider_from_the_command_line(
    env: dict[str, str], tmp_path: Path
) -> None:
    pictures, library = tmp_path / "pictures", tmp_path / "library"
    pictures.mkdir()
    for name in ("red", "blue"):
        solid(name, 60, 30).save(pictures / f"{name}.png")
    noise(1, 60, 60).save(pictures / "Old Mill.png")
    relook = ("-m", "relook")
    run(env, *relook, "index", pictures, "--encoder", "palette", "--library", library)
    found = json.loads(run(env, *relook, "search", "crimson", "--library", library, "--json"))
    assert Path(found["hits"][0]["path"]).name == "red.png"
    begun = json.loads(run(env, *relook, "look", "crimson", "--library", library, "--json"))
    refined = run(
        env, *relook, "refine", begun["session_id"], "--library", library, "--json",
        "--box", "1:0,0,1,1", "--captioner", "light",
    )  # fmt: skip
    assert json.loads(refined)["judgements"][0]["caption"] == "dark and wide"
    asked = json.loads(
        run(env, *relook, "ask", pictures / "Old Mill.png", "--provider", f"folder:{pictures}",
            "--json")
    )  # fmt: skip
    titles = [item["title"] for item in asked["evidence"]["items"]]
    assert titles == ["Old Mill"]
    assert asked["sent"] == []
