"""The load suite in its short form: a real server, mixed load, nothing grows, nothing fails."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_mixed_load_leaves_the_server_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, str(SOAK), "--seconds", "12", "--clients", "4", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(out.read_text("utf-8"))
    assert (told["failures"], told["exit_code"]) == ([], 0)
    assert set(told["kinds"]) >= {"search", "session", "thumbnail", "cancelled"}
    assert told["n_requests"] > 40
