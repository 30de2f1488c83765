"""Pictures of strangers are decoded in processes that may die, hang or lie without harm."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, IptcImagePlugin

from relook.core import images, isolation
from relook.core.errors import ImageError, OverloadError
from relook.core.images import decode, load
from relook.core.isolation import Workers, _Worker
from relook.core.progress import Cancellation, CancelledWork
from relook.core.settings import ImageLimits
from relook.core.sources import MARK, limits_at, mark
from relook.library.picture_facts import embedded_words
from relook.testing import noise, solid

APART = ImageLimits(isolate=True)
HELLO = (
    "import sys, json, time, os\n"
    "def say(told, more=b'', n=None):\n"
    "    told = {**told, 'n_bytes': len(more) if n is None else n}\n"
    "    head = json.dumps(told).encode()\n"
    "    sys.stdout.buffer.write(len(head).to_bytes(4, 'big') + head + more)\n"
    "    sys.stdout.buffer.flush()\n"
    "say({'unbounded': UNBOUNDED})\n"
    "good = {'size': [2, 1], 'original': [2, 1], 'format': 'PNG', 'exif': [], 'iptc': [],"
    " 'xmp': '', 'texts': {}}\n"
    "sys.stdin.buffer.read(4)\n"
)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def played(does: str, unbounded: str = "[]") -> Workers:
    """Workers of a program of the test's own."""
    code = HELLO.replace("UNBOUNDED", unbounded) + does
    return Workers(0, 1, (sys.executable, "-c", code))


@pytest.mark.parametrize("min_px", [0, 64])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF", "JPEG2000"])
def test_the_same_pixels_come_from_apart(kind: str, min_px: int) -> None:
    data = encoded(noise(1, 300, 200), kind)
    here, apart = decode(data, min_px), decode(data, min_px, APART)
    assert apart.image.mode == "RGB"
    assert np.array_equal(np.asarray(here.image), np.asarray(apart.image))
    assert (apart.width_px, apart.height_px, apart.format) == (300, 200, kind)


def test_the_words_of_a_picture_come_too() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x010F], exif[0x0112] = "a sweet dog", "Kamera", 6
    apart = decode(encoded(solid("red", 40, 20), "JPEG", exif=exif), 0, APART)
    assert apart.image.size == (20, 40)
    words = embedded_words(apart)
    assert (words.caption, words.metadata["camera_make"]) == ("a sweet dog", "Kamera")


def test_iptc_comes_as_bytes_and_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    from relook.core import isolated_worker

    fields = {(2, 25): [b"a", b"b"], (2, 5): b"title", (2, 120): b"x" * 50_000}
    monkeypatch.setattr(IptcImagePlugin, "getiptcinfo", lambda _: fields)
    data = encoded(solid("red"), "TIFF")
    told, pixels = isolated_worker._done({"min_px": 0}, data, ImageLimits())
    picture = isolation._picture(json.loads(json.dumps(told)), pixels)
    assert picture.iptc == {(2, 25): [b"a", b"b"], (2, 5): b"title"}  # too long is left out


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"no picture", "not_an_image"),
        (encoded(noise(1, 200, 200), "JPEG")[:900], "truncated"),
        (encoded(solid("red", 5, 5), "PNG")[:40], "not_an_image"),
    ],
)
def test_errors_are_those_of_decoding_here(data: bytes, code: str) -> None:
    told = []
    for limits in (ImageLimits(), APART):
        with pytest.raises(ImageError) as raised:
            decode(data, 0, limits)
        told.append((raised.value.code, raised.value.message))
    assert told[0] == told[1]
    assert told[0][0] == code


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds memory")
def test_a_picture_that_takes_too_much_memory_says_so_and_the_next_one_works() -> None:
    limits = replace(APART, isolated_bytes=512 * 1024**2)
    large = encoded(Image.new("1", (11_000, 11_000)), "PNG", compress_level=1)
    with pytest.raises(ImageError, match="takes more than 536,870,912 bytes") as raised:
        decode(large, 0, limits)
    assert raised.value.code == "decoder_out_of_memory"
    assert decode(encoded(solid("red"), "PNG"), 0, limits).width_px > 0


def test_a_picture_that_takes_too_long_says_so_and_the_next_one_works() -> None:
    large = encoded(noise(1, 2000, 2000), "PNG", compress_level=1)
    with pytest.raises(ImageError, match=r"takes more than 0\.01 s") as raised:
        decode(large, 0, replace(APART, isolated_s=0.01))
    assert raised.value.code == "decoder_timeout"
    assert decode(encoded(solid("red"), "PNG"), 0, APART).width_px > 0


@pytest.mark.parametrize(
    "does",
    [
        "os._exit(3)",
        "os.kill(os.getpid(), 11)",
        "sys.stdout.buffer.write(b'\\xff' * 4)",
        "sys.stdout.buffer.write(b'\\0\\0\\0\\4nope')",
        "say([])if 0 else sys.stdout.buffer.write(b'\\0\\0\\0\\2[]')",
        "say({'size': [2, 1]}, b'123456')",
        "say(good, b'12345')",
        "say({**good, 'size': [-2, -1]}, b'123456')",
        "say({**good, 'original': [0, 1]}, b'123456')",
        "say({**good, 'exif': [['x', 1]]}, b'123456')",
        "say({**good, 'iptc': [[1, 2, {'base64': '*'}]]}, b'123456')",
        "say(good, b'', 10**12)",
        "say(good, b'', -1)",
    ],
)
def test_a_worker_that_dies_or_lies_is_an_error_with_a_reason(does: str) -> None:
    workers = played(f"{does}\nsys.stdout.flush()\n")
    with pytest.raises(ImageError, match="took down the process") as raised:
        workers.decode(b"x", 0, APART)
    assert raised.value.code == "decoder_died"
    assert workers._idle == []  # the next picture gets a fresh one
    workers.close()


def test_a_worker_that_hangs_is_killed() -> None:
    workers = played("time.sleep(600)")
    with pytest.raises(ImageError) as raised:
        workers.decode(b"x" * 10_000_000, 0, replace(APART, isolated_s=0.2))
    assert raised.value.code == "decoder_timeout"
    workers.close()


def test_a_worker_invents_no_codes() -> None:
    workers = played("say({'code': 'bad_token', 'message': 'm' * 9999})\ntime.sleep(600)")
    with pytest.raises(ImageError) as raised:
        workers.decode(b"x", 0, APART)
    assert (raised.value.code, len(raised.value.message)) == ("undecodable", 500)
    workers.close()
    workers.close()


def test_what_is_not_bounded_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    workers = played("say(good, b'123456')", "['memory']")
    for _ in range(2):
        assert workers.decode(b"x", 0, APART).image.size == (2, 1)
        workers._idle.pop().end()
    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert len(told) == 1
    assert told[0].endswith("does not bound their: memory")


def test_a_worker_that_does_not_start_is_told() -> None:
    workers = Workers(0, 1, (sys.executable, "-c", "raise SystemExit"))
    with pytest.raises(ImageError, match="does not start"):
        workers.decode(b"x", 0, APART)


def test_nobody_waits_for_ever_for_a_worker() -> None:
    workers = Workers(0, 1)
    workers._n_free = 0
    with pytest.raises(OverloadError) as raised:
        workers.decode(b"x", 0, replace(APART, isolated_s=0.01))
    assert raised.value.code == "too_busy"


def test_several_threads_share_the_workers() -> None:
    data = [encoded(solid(name), "PNG") for name in ("red", "blue", "green")]
    wanted = [decode(one).image.getpixel((0, 0)) for one in data]
    found: dict[int, list[object]] = {}

    def work(number: int) -> None:
        found[number] = [decode(one, 0, APART).image.getpixel((0, 0)) for one in data * 5]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(found.values()) == [wanted * 5] * 6
    idle = isolation._workers(os.getpid(), APART.isolated_bytes)._idle
    assert 1 <= len(idle) <= 4


def test_keys_of_services_do_not_reach_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    workers = played("say({'code': 'x', 'message': ' '.join(os.environ)})")
    with pytest.raises(ImageError) as raised:
        workers.decode(b"x", 0, APART)
    assert "PATH" in raised.value.message
    assert "OPENAI_API_KEY" not in raised.value.message
    workers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_gave_up_what_it_does_not_need() -> None:
    decode(encoded(solid("red"), "PNG"), 0, APART)
    worker = isolation._workers(os.getpid(), APART.isolated_bytes)._idle[-1]
    lines = Path(f"/proc/{worker._process.pid}/limits").read_text().splitlines()
    limits = {line[:25].strip(): line[25:].split()[0] for line in lines}
    assert limits["Max address space"] == str(APART.isolated_bytes)
    assert (limits["Max file size"], limits["Max core file size"]) == ("0", "0")
    assert int(limits["Max open files"]) <= 64
    assert limits["Max cpu time"] != "unlimited"
    assert "NoNewPrivs:\t1" in Path(f"/proc/{worker._process.pid}/status").read_text()


@pytest.mark.parametrize("kind", ["RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_NOFILE"])
def test_a_system_with_narrower_bounds_keeps_them(kind: str) -> None:
    """As machines that many people share have them: nobody but root may raise a hard one."""
    least = {"RLIMIT_CPU": 25, "RLIMIT_AS": 3 * 1024**3, "RLIMIT_NOFILE": 60}[kind]
    program = f"""
import ctypes, io, resource, sys
from relook.core.images import decode
from relook.core.settings import ImageLimits
from relook.testing import solid
data = io.BytesIO()
solid("red").save(data, "PNG")
resource.setrlimit(resource.{kind}, ({least}, {least}))
if sys.platform == "linux":  # so that root may not either: PR_CAPBSET_DROP, CAP_SYS_RESOURCE
    ctypes.CDLL(None).prctl(24, 24, 0, 0, 0)
limits = ImageLimits(isolate=True, isolated_bytes=2**33, isolated_s=60.0)
print(decode(data.getvalue(), 0, limits).width_px)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("64", "")


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_meant_for_the_server_leaves_its_workers(told: signal.Signals) -> None:
    data = encoded(solid("red"), "PNG")
    workers = Workers(APART.isolated_bytes, 1)
    workers.decode(data, 0, APART)
    process = workers._idle[0]._process
    process.send_signal(told)
    assert workers.decode(data, 0, APART).width_px > 0
    assert workers._idle[0]._process is process
    workers.close()
    assert process.poll() is not None


def test_a_marked_folder_is_decoded_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = tmp_path / "own", tmp_path / "theirs"
    seen = []
    for folder in (own, theirs):
        folder.mkdir()
        solid("red").save(folder / "a.png")
    mark(theirs)
    mark(theirs)
    assert (theirs / MARK).exists()
    (own / "link.png").symlink_to(theirs / "a.png")
    assert limits_at(own / "a.png") == ImageLimits()
    assert limits_at(os.fsencode(theirs / "a.png")).isolate
    assert limits_at(own / "link.png").isolate
    assert limits_at("a\0b") == ImageLimits()
    real = isolation.decode_isolated
    monkeypatch.setattr(images, "decode_isolated", lambda *a: (seen.append(1), real(*a))[1])
    load(own / "a.png")
    assert seen == []
    load(theirs / "a.png")
    assert seen == [1]
    assert images.load(own / "a.png", 0, APART).width_px > 0
    assert seen == [1, 1]


def cancelled_when(ready: threading.Event, work: Callable[[Cancellation], object]) -> None:
    """Runs work in a thread, cancels it once it is ready, and expects that to end it."""
    cancellation, ended = Cancellation(), threading.Event()

    def run() -> None:
        with pytest.raises(CancelledWork):
            work(cancellation)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(600)
    cancellation.cancel()
    thread.join(600)
    assert ended.is_set()


def test_a_picture_that_nobody_wants_takes_its_worker_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process, which would be at it for ten minutes, is killed; the next picture is decoded."""
    workers, sent = played("time.sleep(600)"), threading.Event()
    real = _Worker._write

    def write(self: _Worker, *args: object) -> None:
        sent.set()
        real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(_Worker, "_write", write)
    cancelled_when(sent, lambda one: one.run(workers.decode, b"x", 0, APART))
    assert (workers._idle, workers._n_free) == ([], 1)
    workers.close()


def test_waiting_for_a_worker_ends_when_nobody_wants_the_picture() -> None:
    workers, waits = Workers(0, 1), threading.Event()
    workers._n_free = 0
    real = workers._lock.wait_for

    def wait_for(*args: object) -> bool:
        waits.set()
        return real(*args)  # type: ignore[arg-type]

    workers._lock.wait_for = wait_for  # type: ignore[method-assign,assignment]
    cancelled_when(waits, lambda one: one.run(workers.decode, b"x", 0, APART))
    assert workers._n_free == 0


def test_a_worker_whose_picture_was_wanted_no_more_at_the_last_moment_is_not_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has answered, and is killed a moment later, when another picture could have it."""
    workers, cancellation, killed = Workers(2**31, 1), Cancellation(), []

    def kill(self: _Worker) -> None:
        killed.append(self)

    monkeypatch.setattr(_Worker, "kill", kill)
    real = _Worker._read

    def read(self: _Worker, max_bytes: int) -> object:
        answer = real(self, max_bytes)
        if self.n_jobs:
            cancellation.cancel()
        return answer

    data = encoded(solid("red"), "PNG")
    monkeypatch.setattr(_Worker, "_read", read)
    with pytest.raises(CancelledWork):
        cancellation.run(workers.decode, data, 0, APART)
    for worker in killed:
        worker.end()
    assert len(killed) == 1
    assert workers.decode(data, 0, APART).format == "PNG"
    workers.close()


def test_a_worker_that_the_system_ended_while_it_was_idle_blames_no_picture() -> None:
    workers, data = Workers(2**31, 1), encoded(solid("red"), "PNG")
    workers.decode(data, 0, APART)
    (idle,) = workers._idle
    idle._process.kill()
    idle._process.wait()
    assert workers.decode(data, 0, APART).format == "PNG"
    workers.close()
