"""Several machines over one Milvus, while things break: clients index, servers answer.

Four clients (`relook index`, processes with a library each) index their shares of the pictures
into one collection, two servers (`relook serve`) are searched all the time. On the way Milvus is
killed and comes back, and the client that is writing is killed and run again. Every answer is
compared with the ranking of an ordinary library that holds all the pictures: its hits must be
the first of those that had come, up to the last one that the answer shows, under the same ids,
with their words. Then every picture must be there once, with the vectors of the ordinary library.
It fails (exit code 1) when anything is otherwise.
Read it: a client that finds another one writing waits and tries again, as the error tells. For
a slow disk, let `--folder` lie on one. `--server` starts any Milvus, {folder} and {port} in it;
milvus-lite's server is the default. Linux only.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from figures import Figure, parser, report, say
from milvus_process import MilvusProcess, free_port
from numpy.typing import NDArray

from relook import Library
from relook.app.clusters import attach
from relook.cluster.milvus_client import Milvus, MilvusAddress
from relook.cluster.milvus_log import Journal
from relook.core.errors import RelookError, StoreError
from relook.core.settings import SearchSettings

LITE = f"{shlex.quote(sys.executable)} -m milvus_lite server --data-dir {{folder}} --host 127.0.0.1"
WORDS = ("a dog", "a bird on water", "food on a plate", "a red car", "a building", "a snake")
CONFIG = "[index]\ncommit_every = {}\n[search]\nfold = false\n"
FRESH_S = 2.0
"""What docs/scale.md promises: a search knows what was committed elsewhere so long ago."""
PAUSE_S = 3.0
END_S = 3600.0


def main() -> int:
    """Runs it; 1 when anything was wrong."""
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="relook-shared-") as name:
        run = Run(Path(name), options)
        try:
            figures = run.go()
        finally:
            run.end()
        report("shared_faults", figures, options)
    for line in run.wrong[:20]:
        say(f"WRONG: {line}")
    return 1 if run.wrong else 0


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    made.add_argument("--n", type=int, default=800, help="how many of them")
    made.add_argument("--clients", type=int, default=4)
    made.add_argument("--servers", type=int, default=2)
    made.add_argument("--commit-every", type=int, default=16, help="pictures in a commit")
    made.add_argument("--down", type=float, default=8.0, help="seconds that Milvus is away")
    made.add_argument("--server", default=f"{LITE} --port {{port}}", help="starts Milvus")
    made.add_argument("--folder", type=Path, help="where Milvus keeps its data")
    made.add_argument("--no-faults", action="store_true", help="nothing is killed")
    return made.parse_args()


@dataclass
class Client:
    """One machine that indexes a share, again until it is done."""

    command: list[str]
    paths: list[str]
    outcomes: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None
    done_s: float | None = None

    def work(self) -> None:
        """Runs the command until it says that all is done."""
        while self.done_s is None:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            _, errors = self.process.communicate()
            code = self.process.returncode
            told = re.search(r"error\[(\w+)\]: (.*)", errors)
            self.outcomes.append(f"{told[1]}: {told[2]}" if told else f"exit {code}")
            if code > 0 and not told:
                say(errors[-500:])
            if code == 0:
                self.done_s = time.monotonic()
            else:
                time.sleep(PAUSE_S)


@dataclass
class Answer:
    """What a server said to one search."""

    server: int
    words: str
    began_s: float
    took_s: float
    status: int
    code: str
    hits: list[dict[str, Any]]


class Run:
    """Everything of one run.

    Args:
        folder: For libraries and shares.
        options: Of the command line.
    """

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        self.data = options.folder or folder / "milvus"
        self.store = MilvusProcess(options.server, self.data)
        self.wrong: list[str] = []
        self.answers: list[Answer] = []
        self._servers: list[subprocess.Popen[bytes]] = []
        self._stop = threading.Event()
        self.facts: dict[str, float] = {}

    def go(self) -> list[Figure]:
        """Indexes, breaks, asks, checks."""
        shares = self._shares()
        self._ordinary(shares)
        self.facts["Milvus starts"] = self.store.start()
        self.address = f"milvus://127.0.0.1:{self.store.port}/pictures?index=FLAT"
        clients = [self._client(number, share) for number, share in enumerate(shares)]
        began = time.monotonic()
        working = [threading.Thread(target=client.work, daemon=True) for client in clients]
        for thread in working:
            thread.start()
        asking = self._serve(clients)
        if not self.options.no_faults:
            self._break(clients)
        for thread in working:
            thread.join(END_S)
        self.facts["all indexed"] = time.monotonic() - began
        time.sleep(2 * FRESH_S)
        self._stop.set()
        for thread in asking:
            thread.join(120)
        self._check(clients)
        return self._figures(clients)

    def end(self) -> None:
        """Ends what was started."""
        self._stop.set()
        for server in self._servers:
            server.terminate()
            server.wait(60)
        self.store.kill()

    def _shares(self) -> list[Path]:
        """Pictures of different names, dealt out to the clients; words for each."""
        chosen = sorted(path for path in self.options.pictures.iterdir() if path.is_file())
        shares = [self.folder / f"share{number}" for number in range(self.options.clients)]
        for share in shares:
            share.mkdir()
        lines = []
        for at, path in enumerate(chosen[: self.options.n]):
            shutil.copy(path, shares[at % len(shares)])
            lines.append(json.dumps({"file": path.name, "title": f"title of {path.stem}"}))
        (self.folder / "words.jsonl").write_text("\n".join(lines), "utf-8")
        (self.folder / "config.toml").write_text(CONFIG.format(self.options.commit_every), "utf-8")
        return shares

    def _ordinary(self, shares: list[Path]) -> None:
        """One library of one machine: what the answers should be."""
        with Library(self.folder / "ordinary", search=SearchSettings(fold=False)) as library:
            library.add(*shares, metadata=[self.folder / "words.jsonl"])
            self.vectors, self.titles, _ = content(library)
            n = len(self.vectors)
            self.scores = {
                words: {str(hit.path): hit.score for hit in library.search(words, limit=n)}
                for words in WORDS
            }

    def _relook(self, *words: str) -> list[str]:
        config = str(self.folder / "config.toml")
        return [sys.executable, "-m", "relook", *words, "--config", config]

    def _client(self, number: int, share: Path) -> Client:
        library = str(self.folder / f"client{number}")
        words = ("--metadata", str(self.folder / "words.jsonl"))
        command = self._relook(
            "index", str(share), "--library", library, "--store", self.address, *words
        )
        return Client(command, [str(path) for path in share.iterdir()])

    def _serve(self, clients: list[Client]) -> list[threading.Thread]:
        """Servers, attached as soon as there is something, and somebody who asks each."""
        asking = []
        for number in range(self.options.servers):
            folder, port = self.folder / f"server{number}", free_port()
            while True:
                try:
                    attach(self.address, folder)
                    break
                except RelookError:  # nothing is there yet
                    time.sleep(1)
            command = self._relook(
                "serve", "--library", str(folder), "--no-open", "--port", str(port)
            )
            self._servers.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
            asking.append(threading.Thread(target=self._ask, args=(number, port), daemon=True))
            asking[-1].start()
        return asking

    def _ask(self, number: int, port: int) -> None:
        url = f"http://127.0.0.1:{port}/api/v1/libraries/server{number}/search"
        with httpx.Client(timeout=300) as http:
            at = 0
            while not self._stop.is_set():
                words = WORDS[at % len(WORDS)]
                began = time.monotonic()
                try:
                    answer = http.post(url, json={"query": words, "limit": 20})
                except httpx.ConnectError:  # it does not listen yet
                    time.sleep(0.5)
                    continue
                at += 1
                body = answer.json()
                code = str(body.get("error", {}).get("code", ""))
                took_s = time.monotonic() - began
                self.answers.append(
                    Answer(number, words, began, took_s, answer.status_code, code,
                           body.get("hits", []))
                )  # fmt: skip
                time.sleep(0.3)

    def _break(self, clients: list[Client]) -> None:
        """Milvus goes and comes back; whoever writes is killed."""
        self._wait_for(self.options.n // 4)
        say("killing Milvus")
        self.store.kill()
        time.sleep(self.options.down)
        self.facts["Milvus starts again"] = self.store.start()
        self._wait_for(self.options.n // 2)
        while True:
            writer = self._writer()
            writing = [one for one in clients if one.process and one.process.pid == writer]
            if writing:
                break
            time.sleep(0.1)
        say(f"killing the client that writes, {writer}")
        os.kill(writer, signal.SIGKILL)

    def _writer(self) -> int:
        with self._milvus() as milvus:
            body = Journal(milvus, self.folder)._body(-1)
        return int(body["process"]) if body else 0

    def _wait_for(self, n: int) -> None:
        """Until so many pictures are committed."""
        n_there = 0
        while n_there < n:
            with contextlib.suppress(StoreError), self._milvus() as milvus:
                milvus.load("pictures")
                n_there = milvus.count("pictures", "tile == 0")
            time.sleep(0.3)

    def _milvus(self) -> contextlib.closing[Milvus]:
        return contextlib.closing(Milvus(MilvusAddress.parse(self.address)))

    def _check(self, clients: list[Client]) -> None:
        joined = self.folder / "joined"
        attach(self.address, joined)
        with Library(joined) as library:
            vectors, titles, ids = content(library)
        if sorted(vectors) != sorted(self.vectors):
            self.wrong.append(f"{len(vectors)} pictures, not {len(self.vectors)}")
        for path in vectors.keys() & self.vectors.keys():
            if not np.array_equal(vectors[path], self.vectors[path]):
                self.wrong.append(f"{path} has other vectors")
            if titles[path] != self.titles[path]:
                self.wrong.append(f"{path} has the title {titles[path]!r}")
        with self._milvus() as milvus:
            self.facts["rows"] = milvus.count("pictures", "row >= 0")
        n_rows = sum(map(len, self.vectors.values()))
        if self.facts["rows"] != n_rows:
            self.wrong.append(f"{self.facts['rows']} rows in Milvus, not {n_rows}")
        for answer in self.answers:
            if answer.status == 200:
                self._check_answer(answer, ids, clients)
            elif answer.status < 500 or not answer.code:
                self.wrong.append(f"status {answer.status} {answer.code}")

    def _check_answer(self, answer: Answer, ids: dict[str, int], clients: list[Client]) -> None:
        scores = self.scores[answer.words]
        paths = [hit["path"] for hit in answer.hits]
        last = max((ids[path] for path in paths), default=0)
        known = {path for path, image_id in ids.items() if image_id <= last}
        for client in clients:
            if client.done_s is not None and client.done_s + FRESH_S < answer.began_s:
                known |= set(client.paths)
        best = sorted(known, key=lambda path: -scores[path])[: len(paths)]
        where = f"server {answer.server}, {answer.words!r}"
        if len(known) >= 20 > len(paths) or len(set(paths)) < len(paths):
            self.wrong.append(f"{where}: {len(paths)} hits, {len(set(paths))} different")
        for hit, should in zip(answer.hits, best, strict=True):
            path = hit["path"]
            if abs(scores[path] - scores[should]) > 1e-5:
                self.wrong.append(f"{where}: {Path(path).name} where {Path(should).name} belongs")
                break
            if hit["image_id"] != ids[path] or hit["title"] != self.titles[path]:
                self.wrong.append(f"{where}: {path} is {hit['image_id']}, {hit['title']!r}")

    def _figures(self, clients: list[Client]) -> list[Figure]:
        statuses = Counter(f"{one.status} {one.code}".strip() for one in self.answers)
        outcomes = Counter(told[:70] for client in clients for told in client.outcomes)
        good = sorted(one.took_s for one in self.answers if one.status == 200)
        bad = [one.took_s for one in self.answers if one.status != 200]
        return [
            Figure("pictures", len(self.vectors)),
            *(Figure(name, value) for name, value in self.facts.items()),
            *(Figure(f"searches: {name}", n) for name, n in statuses.items()),
            Figure("search p50", good[len(good) // 2], "s"),
            Figure("search, slowest", good[-1], "s"),
            Figure("search that failed, slowest", max(bad, default=0.0), "s"),
            *(Figure(f"runs: {name}", n) for name, n in outcomes.items()),
            Figure("wrong", len(self.wrong), at_most=0),
        ]


def content(library: Library) -> tuple[dict[str, NDArray[Any]], dict[str, str], dict[str, int]]:
    """Vectors, titles and ids by path."""
    files = library.files
    files.refresh(now=True)
    images = {os.fsdecode(one.facts.path): one for one in files.catalog.each_image()}
    rows = files.vectors.block(0, files.catalog.end_row())  # one by one they take minutes
    vectors = {
        path: rows[one.first_row : one.first_row + one.n_tiles] for path, one in images.items()
    }
    titles = {path: one.title for path, one in images.items()}
    return vectors, titles, {path: one.image_id for path, one in images.items()}


if __name__ == "__main__":
    raise SystemExit(main())
