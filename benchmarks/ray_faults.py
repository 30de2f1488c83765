"""Indexing by two Ray nodes in network namespaces of one machine, while parts of them die.

Each node has a network of its own (10.77.0.1 and 10.77.0.2, a pair of veth between them). The
pictures are indexed by an ordinary run, then by `relook index --ray` from the first node: with
nothing broken, with the worker on the second node killed, with all processes of the second node
killed, and with its network cut. Each library must hold what the ordinary one holds, vectors bit
for bit. It fails (exit code 1) when anything is otherwise.
Needs root and Linux. Read it: the seconds are those of one machine, on which two nodes share the
cores; they show what waiting for a lost node costs, not what two nodes gain.
"""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from figures import Figure, parser, report, say

from relook import Library
from relook.testing import content_of

HEAD, OTHER = "10.77.0.1", "10.77.0.2"
PORT = 6399
CONFIG = "[index]\ncommit_every = 16\n[ray]\nshard = {}\n"
Content = dict[bytes, tuple[object, ...]]


def main() -> int:
    """Runs it; 1 when anything was wrong."""
    options = _arguments()
    os.environ["RAY_AUTH_MODE"] = (
        "disabled"  # a head asks for a token where the home folder has one
    )
    figures = []
    with tempfile.TemporaryDirectory(prefix="rr-") as name:  # sockets have short paths
        folder = Path(name)
        (folder / "config.toml").write_text(CONFIG.format(options.shard), "utf-8")
        with Library(folder / "ordinary") as library:
            library.add(options.pictures)
            expected = content_of(library.files)
        figures.append(Figure("pictures", len(expected)))
        faults = {
            "nothing": None, "worker killed": kill_worker, "node killed": kill_node,
            "network cut": cut_network,
        }  # fmt: skip
        for what in options.faults or faults:
            say(what)
            with nodes(folder / what.split()[0]) as names:
                made, took_s, code = index(folder, options.pictures, names, what, faults[what])
            n_wrong = sum(made.get(path) != told for path, told in expected.items())
            n_wrong += len(made.keys() - expected.keys()) + (code != 0)
            figures.append(Figure(f"{what}: the whole run", took_s, "s"))
            figures.append(Figure(f"{what}: other than ordinary", n_wrong, at_most=0))
    report("ray_faults", figures, options)
    return int(any(figure.met is False for figure in figures))


def _arguments() -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, required=True, help="a folder of pictures")
    made.add_argument("--shard", type=int, default=32, help="files in a shard")
    made.add_argument("--faults", nargs="*", help="some of them")
    return made.parse_args()


@contextlib.contextmanager
def nodes(folder: Path) -> Iterator[tuple[str, str]]:
    """Two namespaces with a node of Ray each; gives their names."""
    names = (f"rr{os.getpid()}a", f"rr{os.getpid()}b")
    ends = (f"v{os.getpid()}a", f"v{os.getpid()}b")
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("link", "add", ends[0], "netns", names[0], "type", "veth",
           "peer", "name", ends[1], "netns", names[1])  # fmt: skip
        for name, end, address in zip(names, ends, (HEAD, OTHER), strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        start(names[0], "--head", f"--port={PORT}", f"--node-ip-address={HEAD}",
              "--include-dashboard=false", f"--temp-dir={folder}")  # fmt: skip
        start(names[1], f"--address={HEAD}:{PORT}", f"--node-ip-address={OTHER}")
        yield names
    finally:
        for name in names:
            kill_all(name)
            ip("netns", "delete", name)


def ip(*words: str) -> str:
    """The command `ip`."""
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def start(name: str, *words: str) -> None:
    """A node of one core in a namespace."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--num-cpus=1",
               "--object-store-memory=100000000", "--disable-usage-stats", *words]  # fmt: skip
    done = subprocess.run(inside(name, command), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)


def inside(name: str, command: list[str]) -> list[str]:
    """A command in a namespace."""
    return ["ip", "netns", "exec", name, *command]


def processes(name: str) -> dict[int, str]:
    """What runs in a namespace, by process."""
    found = {}
    for pid in map(int, ip("netns", "pids", name).split()):
        with contextlib.suppress(OSError):
            found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return found


def kill_all(name: str) -> None:
    """Ends every process of a namespace, at once."""
    while pids := processes(name):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)


def kill_worker(names: tuple[str, str]) -> None:
    """Ends what encodes on the second node."""
    killed = []
    while not killed:
        killed = [pid for pid, told in processes(names[1]).items() if "Encode" in told]
        time.sleep(0.1)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    say(f"killed {len(killed)} worker on the second node")


def kill_node(names: tuple[str, str]) -> None:
    """Ends the second node as a power cut would."""
    kill_all(names[1])


def cut_network(names: tuple[str, str]) -> None:
    """The second node runs on, but nobody hears of it."""
    [end] = [line.split(":")[1].split("@")[0].strip()
             for line in ip("-n", names[1], "-o", "link").splitlines() if "@" in line]  # fmt: skip
    ip("-n", names[1], "link", "set", end, "down")


def index(
    folder: Path,
    pictures: Path,
    names: tuple[str, str],
    what: str,
    fault: Callable[[tuple[str, str]], None] | None,
) -> tuple[Content, float, int]:
    """Indexes from the first node, breaks something once a fifth is there."""
    place = folder / f"library {what}"
    command = [sys.executable, "-m", "relook", "index", str(pictures), "--library", str(place),
               "--ray", f"{HEAD}:{PORT}", "--ray-workers", "2",
               "--config", str(folder / "config.toml")]  # fmt: skip
    began = time.monotonic()
    log = folder / f"{what}.log"
    with log.open("w") as told:
        process = subprocess.Popen(inside(names[0], command), stdout=told, stderr=told)
        if fault is not None:
            wait_for(place, len(list(pictures.iterdir())) // 5, process)
            fault(names)
        code = process.wait()
    took_s = time.monotonic() - began
    say(log.read_text()[-600:])
    with Library(place) as library:
        return content_of(library.files), took_s, code


def wait_for(place: Path, n: int, process: subprocess.Popen[bytes]) -> None:
    """Until so many images are committed."""
    while process.poll() is None:
        with contextlib.suppress(Exception), Library(place) as library:
            if library.files.catalog.count("images") >= n:
                return
        time.sleep(0.2)
    raise SystemExit("the run ended before anything could break")


if __name__ == "__main__":
    raise SystemExit(main())
