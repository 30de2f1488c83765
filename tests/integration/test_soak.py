"""The load suite in its short form: a real server, mixed load, nothing grows, nothing fails."""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_mixed_load_leaves_the_server_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, str(SOAK), "--seconds", "8", "--requests", "200", "--clients", "4"]
    command += ["--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(out.read_text("utf-8"))
    assert (told["failures"], told["exit_code"]) == ([], 0)
    assert set(told["kinds"]) >= {"search", "session", "thumbnail", "cancelled"}
    assert told["n_requests"] >= 200


def test_growth_faults_and_broken_lines_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SOAK.parent))
    import soak  # of benchmarks/

    options = argparse.Namespace(seconds=100.0, clients=1)
    still = {"rss_bytes": 3e8, "n_files": 20, "n_threads": 9}

    def failures(n_wrong: int = 0, **last: float) -> list[str]:
        tally = soak.Tally()
        for status in (200, 503, *[500] * n_wrong):
            tally.add("search", status, 5.0)
        end = {**still, **last}
        samples = [{"at_s": at, **(still if at < 90 else end)} for at in range(100)]
        found: list[str] = soak._report(tally, samples, options)["failures"]
        return found

    assert failures() == []
    assert failures(rss_bytes=3.2e8) == []
    assert failures(2) == ["2 times search: status 500"]
    assert failures(rss_bytes=4e8) == ["rss_bytes grew from 300,000,000 to 400,000,000"]
    assert failures(n_files=40) == ["n_files grew from 20 to 40"]
    assert failures(n_threads=30) == ["n_threads grew from 9 to 30"]
    broken = soak.Tally()
    broken.broke("search", OSError("gone"))
    samples = [{"at_s": 50.0, **still}]
    assert soak._report(broken, samples, options)["failures"] == ["1 times search: OSError('gone')"]
