"""A real server under mixed load for a long time: make soak, DURATION=3600 seconds by default.

Several clients search, judge, upload, index, send what is no picture, and leave in the middle,
without a pause. Watched: memory of the server and of its decoding processes, open files,
threads. It fails (exit code 1) when any of these grows from the end of the warm-up to the end,
when an answer is a fault (5xx save 503), when a line breaks, or when the server does not end
with code 0 within a minute of SIGTERM. Figures go to bench-out/soak.json and stdout.
Read it: clients and server share this machine's cores. Linux only: it reads /proc.
"""

import argparse
import collections
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from figures import machine
from PIL import Image
from soak_people import MAX_UPLOADS, Person

import relook

HERE = Path(__file__).resolve().parent
N_PICTURES = 48
MIB = 1024**2
# What may come on top between warm-up and end: (share, absolute).
ROOM = {"rss_bytes": (0.10, 48 * MIB), "n_files": (0.10, 16), "n_threads": (0.0, 8)}
Sample = dict[str, float]


class Tally:
    """Latencies and statuses by kind, from several threads."""

    def __init__(self) -> None:
        self.took_ms: dict[str, list[float]] = collections.defaultdict(list)
        self.statuses: dict[str, collections.Counter[int]] = collections.defaultdict(
            collections.Counter
        )
        self.wrong: list[str] = []
        self._n_uploads = self._n_broken = 0
        self._lock = threading.Lock()

    def add(self, kind: str, status: int, took_ms: float) -> None:
        """Notes one request."""
        with self._lock:
            self.took_ms[kind].append(took_ms)
            self.statuses[kind][status] += 1
            if status >= 500 and status != 503:
                self.wrong.append(f"{kind}: status {status}")

    def broke(self, kind: str, error: Exception) -> None:
        """Notes a request without an answer."""
        with self._lock:
            self._n_broken += 1
            self.wrong.append(f"{kind}: {error!r}")

    @property
    def n_requests(self) -> int:
        """Answered or not."""
        with self._lock:
            return sum(map(len, self.took_ms.values())) + self._n_broken

    def may_upload(self) -> bool:
        """Takes one of the uploads that are left."""
        with self._lock:
            self._n_uploads += 1
            return self._n_uploads <= MAX_UPLOADS


def main() -> int:
    """Runs the soak; 1 when something grew or failed."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="relook-soak-") as name:
        folder = Path(name)
        _make(folder)
        process, address = _serve(folder)
        try:
            tally, samples = _load(process, address, options)
            stop_s, code = _stop(process)
        finally:
            process.kill()
            process.communicate()
        told = _report(tally, samples, options)
        log = (folder / "serve.log").read_text("utf-8", "replace")
    told |= {"exit_code": code, "stop_s": round(stop_s, 2), "machine": machine()}
    told["n_tracebacks"] = log.count("Traceback")
    if code != 0:
        told["failures"].append(f"the server ended with {code}")
    if told["n_tracebacks"]:
        told["failures"].append("the server's log has tracebacks: " + log[-2000:])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    _print(told)
    return 1 if told["failures"] else 0


def arguments() -> argparse.Namespace:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--seconds", type=float, default=3600.0, help="how long")
    made.add_argument("--requests", type=int, default=0, help="and at least so many requests")
    made.add_argument("--clients", type=int, default=6, help="clients at once")
    made.add_argument("--out", type=Path, default=HERE.parent / "bench-out" / "soak.json")
    return made.parse_args()


def _make(folder: Path) -> None:
    pictures = folder / "pictures"
    pictures.mkdir()
    random_pixels = np.random.default_rng(0)
    for number in range(N_PICTURES):
        small = random_pixels.integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(small).resize((640, 480)).save(pictures / f"{number:03}.jpg")
    with relook.Library(folder / "library") as library:
        library.add(pictures)


def _serve(folder: Path) -> tuple["subprocess.Popen[str]", str]:
    command = [sys.executable, "-m", "relook", "serve", "--no-open", "--port", "0"]
    with open(folder / "serve.log", "w") as log:
        process = subprocess.Popen(
            [*command, "-l", str(folder / "library")],
            stdout=subprocess.PIPE, stderr=log, text=True,
            env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().split()[-1].removesuffix("/")


def _load(
    process: "subprocess.Popen[str]", address: str, options: argparse.Namespace
) -> tuple[Tally, list[Sample]]:
    tally, over = Tally(), threading.Event()
    threads = [
        threading.Thread(target=_work, args=(address, seed, tally, over))
        for seed in range(options.clients)
    ]
    for thread in threads:
        thread.start()
    samples, began = [], time.monotonic()
    while process.poll() is None:
        at_s = time.monotonic() - began
        if at_s >= options.seconds and tally.n_requests >= options.requests:
            break
        samples.append({"at_s": at_s, **_look(process.pid)})
        time.sleep(min(1.0, options.seconds / 60))
    over.set()
    for thread in threads:
        thread.join()
    return tally, samples


def _work(address: str, seed: int, tally: Tally, over: threading.Event) -> None:
    person = Person(address, "/api/v1/libraries/library", seed, tally.may_upload)
    acts, chosen = person.acts(), random.Random(seed)
    with person.http:
        while not over.is_set():
            kind, act = chosen.choice(acts)
            began = time.perf_counter()
            try:
                tally.add(kind, act(), (time.perf_counter() - began) * 1e3)
            except (httpx.HTTPError, OSError) as error:
                tally.broke(kind, error)
                time.sleep(0.1)


def _look(pid: int) -> Sample:
    """Memory, open files and threads of a process, and the memory of its children."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    children = Path(f"/proc/{pid}/task/{pid}/children")
    named = children.read_text().split() if children.exists() else []
    return {
        "rss_bytes": int(status["VmRSS"].split()[0]) * 1024,
        "n_threads": int(status["Threads"]),
        "n_files": len(os.listdir(f"/proc/{pid}/fd")),
        "n_children": len(named),
    }


def _stop(process: "subprocess.Popen[str]") -> tuple[float, int | None]:
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    try:
        code: int | None = process.wait(60)
    except subprocess.TimeoutExpired:
        code = None
    return time.monotonic() - began, code


def _report(tally: Tally, samples: list[Sample], options: argparse.Namespace) -> dict[str, Any]:
    seconds = samples[-1]["at_s"]
    warm_s = min(60.0, seconds / 3)
    failures = [f"{n} times {what}" for what, n in collections.Counter(tally.wrong).items()]
    grown = {}
    for name, (share, more) in ROOM.items():
        first, last = _ends(samples, name, warm_s)
        grown[name] = {"after_warm_up": first, "at_the_end": last}
        if last > first * (1 + share) and last > first + more:
            failures.append(f"{name} grew from {first:,.0f} to {last:,.0f}")
    kinds = {kind: _spread(tally, kind) for kind in sorted(tally.took_ms)}
    n = tally.n_requests
    every = [one for times in tally.took_ms.values() for one in times]
    return {
        "seconds": round(seconds, 1), "n_clients": options.clients, "n_requests": n,
        "requests_per_s": round(n / seconds, 1),
        "p50_ms": _at(every, 0.5), "p99_ms": _at(every, 0.99),
        "kinds": kinds, "grown": grown, "failures": failures,
        "n_turned_away": sum(one[503] for one in tally.statuses.values()),
        "samples": samples[:: max(len(samples) // 200, 1)],
    }  # fmt: skip


def _ends(samples: list[Sample], name: str, warm_s: float) -> tuple[float, float]:
    """Medians of a tenth of the samples, behind the warm-up and at the end."""
    warm = [one[name] for one in samples if one["at_s"] >= warm_s]
    n = max(len(warm) // 10, 1)
    return statistics.median(warm[:n]), statistics.median(warm[-n:])


def _spread(tally: Tally, kind: str) -> dict[str, Any]:
    times = tally.took_ms[kind]
    statuses = {str(status): n for status, n in sorted(tally.statuses[kind].items())}
    return {"n": len(times), "p50_ms": _at(times, 0.5), "p99_ms": _at(times, 0.99),
            "max_ms": round(max(times), 1), "statuses": statuses}  # fmt: skip


def _at(times: list[float], share: float) -> float:
    return round(float(np.quantile(times, share)), 1) if times else 0.0


def _print(told: dict[str, Any]) -> None:
    print(
        f"{told['n_requests']:,} requests of {told['n_clients']} clients in"
        f" {told['seconds']:g} s: {told['requests_per_s']}/s,"
        f" p50 {told['p50_ms']} ms, p99 {told['p99_ms']} ms, {told['n_turned_away']} turned away"
    )
    for kind, one in told["kinds"].items():
        print(
            f"  {kind:10} {one['n']:8,}  p50 {one['p50_ms']:8} ms  p99 {one['p99_ms']:8} ms"
            f"  {one['statuses']}"
        )
    for name, one in told["grown"].items():
        print(f"  {name}: {one['after_warm_up']:,.0f} -> {one['at_the_end']:,.0f}")
    print(f"  stopped in {told['stop_s']} s with code {told['exit_code']}")
    for failure in told["failures"]:
        print(f"FAILED: {failure}")


if __name__ == "__main__":
    sys.exit(main())
