"""Pictures, and what poses as pictures, made to do harm; all of it built here.

`CORPUS` has the bytes by name, and the code that says why each is refused; None for those
that are pictures after all, and have to come out as such.
"""

import io
import struct
import tarfile
import zipfile
import zlib

from PIL import Image

from relook.testing import noise, solid

Corpus = dict[str, tuple[bytes, str | None]]
SCRIPT = b"<script>alert(document.domain)</script>"


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, rows: bytes, *more: bytes, depth: int = 8, kind: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    data = (chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(data)


def good_png(*more: bytes) -> bytes:
    return png(2, 2, (b"\0" + b"\xff\0\0" * 2) * 2, *more)


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A small JPEG with segments put behind its start."""
    whole = encoded(solid("red", 32, 32), "JPEG")
    parts = [bytes([0xFF, kind]) + struct.pack(">H", len(d) + 2) + d for kind, d in segments]
    return whole[:2] + b"".join(parts) + whole[2:]


def resized(data: bytes, width: int, height: int) -> bytes:
    """A JPEG whose frame header says another size."""
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff(*entries: tuple[int, int, int, int], next_at: int = 0, pixels: bytes = b"") -> bytes:
    """A little-endian TIFF of one directory: (tag, type, count, value) each."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries))
    return head + rows + struct.pack("<I", next_at) + pixels


def exif(*entries: tuple[int, int, int, int], next_at: int = 0) -> bytes:
    return b"Exif\0\0" + tiff(*entries, next_at=next_at)


def _too_large() -> Corpus:
    gif = encoded(solid("red", 4, 4), "GIF")
    ico = encoded(solid("red", 16, 16), "ICO", sizes=[(16, 16)])
    bomb = png(60_000, 60_000, b"\0" * 1000)
    webp = (
        b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f"
        + struct.pack("<I", 16382 | 16382 << 14)
        + b"\0" * 12
    )
    bits = png(50_000, 50_000, b"\0" * 100_000, depth=1, kind=0)
    bmp = encoded(solid("red", 4, 4), "BMP")
    jp2 = encoded(solid("red", 8, 8), "JPEG2000")
    frame = jp2.index(b"\xff\x51")
    large_frame = jp2[: frame + 6] + struct.pack(">II", 2**30, 2**30) + jp2[frame + 14 :]
    ihdr = large_frame.index(b"ihdr")
    jp2 = large_frame[: ihdr + 4] + struct.pack(">II", 2**30, 2**30) + large_frame[ihdr + 12 :]
    return {
        "header-bomb.png": (png(100_000, 100_000, b"\0" * 1000), "too_many_pixels"),
        "one-bit-bomb.png": (bits, "too_many_pixels"),
        "screen-bomb.gif": (gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "too_many_pixels"),
        "frame-bomb.jpg": (resized(jpeg(), 65_500, 65_500), "too_many_pixels"),
        "bomb.ppm": (b"P6 99999 99999 255\n" + b"\0" * 99, "too_many_pixels"),
        "bomb.webp": (webp, "too_many_pixels"),
        "bomb.bmp": (bmp[:18] + struct.pack("<ii", 2**30, 2**30) + bmp[26:], "too_many_pixels"),
        "bomb.jp2": (jp2, "too_many_pixels"),
        "bomb.tif": (
            tiff((256, 4, 1, 10**6), (257, 4, 1, 10**6), (258, 3, 1, 8), (259, 3, 1, 1),
                 (262, 3, 1, 1), (273, 4, 1, 8), (278, 4, 1, 10**6), (279, 4, 1, 1)),
            "too_many_pixels",
        ),
        "nested-bomb.ico": (ico[:14] + struct.pack("<II", len(bomb), 22) + bomb, "too_many_pixels"),
    }  # fmt: skip


def _packed() -> Corpus:
    """Small files that unpack into much."""
    zeros = zlib.compress(b"\0" * 200_000_000, 9)
    text = b"Comment\0\0" + zeros
    profile = b"icc\0\0" + zeros
    frames = [Image.new("P", (1, 1), number % 2) for number in range(3000)]
    grey = [one.convert("L") for one in frames[:200]]
    return {
        "text-bomb.png": (good_png(chunk(b"zTXt", text)), "undecodable"),
        "profile-bomb.png": (good_png(chunk(b"iCCP", profile)), "undecodable"),
        "pixels-after-the-end.png": (png(2, 2, b"\0" * 50_000_000), None),
        "frames.gif": (
            encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=1), None,
        ),
        "frames.png": (
            encoded(grey[0], "PNG", save_all=True, append_images=grey[1:]), None,
        ),
    }  # fmt: skip


def _posing() -> Corpus:
    """What is no picture, or one that its reader here must not read."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + SCRIPT + b"</svg>"
    entity = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        pack.writestr("../../../../tmp/evil.png", good_png())
        pack.writestr("/etc/cron.d/evil", b"* * * * * root true")
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w:gz") as tape:
        link = tarfile.TarInfo("a.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tape.addfile(link)
    samples = {
        "script.svg": svg,
        "entities.svg": entity + svg,
        "page.html": b"<!DOCTYPE html>" + SCRIPT,
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n",
        "program.pdf": b"%PDF-1.7\n1 0 obj <</OpenAction <</S /JavaScript /JS (app.alert(1))>>>>\n",
        "font.ttf": b"\0\1\0\0\0\x0c\0\x80\0\3\0\x40" + b"\0" * 500,
        "font.woff": b"wOFF\0\1\0\0" + b"\0" * 100,
        "layers.psd": b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 9, 9, 8, 3) + b"\0" * 64,
        "sky.fits": b"SIMPLE  =                    T".ljust(80) * 36,
        "film.fli": struct.pack("<IHHHHHH", 200, 0xAF12, 1, 8, 8, 8, 3).ljust(200, b"\0"),
        "meta.wmf": b"\xd7\xcd\xc6\x9a\0\0" + b"\0" * 60,
        "old.pcx": b"\x0a\5\1\x08" + b"\0" * 124,
        "paths.zip": packed.getvalue(),
        "link.tar.gz": taped.getvalue(),
        "shell.sh": b"#!/bin/sh\nrm -rf ~\n",
        "elf.bin": b"\x7fELF\2\1\1" + b"\0" * 100,
        "nothing.bin": b"\0" * 1000,
    }
    return {name: (data, "not_an_image") for name, data in samples.items()}


def _polyglots() -> Corpus:
    gif = encoded(solid("red", 4, 4), "GIF", comment=b"/*" + SCRIPT + b"*/")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as pack:
        pack.writestr("../evil.php", b"<?php system($_GET[0]); ?>")
    return {
        "page.gif": (gif + SCRIPT, None),
        "script.gif": (gif[:-1] + b"=1;alert(1)//", None),
        "pack.jpg": (jpeg() + packed.getvalue(), None),
        "php.jpg": (jpeg((0xFE, b"<?php system($_GET[0]); ?>")), None),
        "tail.png": (good_png(chunk(b"tEXt", b"Comment\0" + SCRIPT)) + SCRIPT, None),
    }


def _truncated() -> Corpus:
    found: Corpus = {}
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "PPM", "GIF", "AVIF", "JPEG2000"):
        data = encoded(noise(1, 120, 90), kind)
        found[f"cut-{kind.lower()}"] = (data[: len(data) * 2 // 3], "*")
        found[f"stub-{kind.lower()}"] = (data[:13], "*")
    return found


def _metadata() -> Corpus:
    """Good pictures with metadata that is not."""
    laughs = b'<!DOCTYPE x [<!ENTITY a "ha">' + b"".join(
        b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)
    )
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + laughs + b"]><x:xmpmeta>&j;</x:xmpmeta>"
    words = "<img src=x onerror=alert(1)>\x1b]0;gone\x07\r\n=cmd|'/c calc'!A0\u202e".encode()
    said = Image.Exif()
    said[0x010E], said[0x010F] = words.decode("utf-8"), "x" * 60_000
    iptc = (
        b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", 2**31 - 1) + b"\x1c\2\5\x80\4\xff"
    )
    several = b"MPF\0" + tiff((0xB001, 4, 1, 2**31), (0xB002, 7, 2**31, 0))
    return {
        "exif-loop.jpg": (jpeg((0xE1, exif((0x8769, 4, 1, 8), next_at=8))), None),
        "exif-count.jpg": (jpeg((0xE1, exif((0x010E, 2, 2**32 - 1, 26)))), None),
        "exif-offset.jpg": (jpeg((0xE1, exif((0x8769, 4, 1, 2**32 - 1)))), None),
        "exif-turn.jpg": (jpeg((0xE1, exif((0x0112, 5, 1, 2**31)))), None),
        "exif-noise.jpg": (jpeg((0xE1, b"Exif\0\0" + bytes(range(256)) * 20)), None),
        "exif-words.jpg": (encoded(solid("red", 32, 32), "JPEG", exif=said), None),
        "xmp-laughs.jpg": (jpeg((0xE1, xmp)), None),
        "iptc-count.jpg": (jpeg((0xED, iptc)), None),
        "iptc-noise.jpg": (jpeg((0xED, b"Photoshop 3.0\0" + b"8BIM\4\4" * 2000)), None),
        "icc-noise.jpg": (jpeg((0xE2, b"ICC_PROFILE\0\1\1" + b"\xff" * 5000)), None),
        "icc-count.jpg": (jpeg(*[(0xE2, b"ICC_PROFILE\0\7\xff" + b"x")] * 400), None),
        "comments.jpg": (jpeg(*[(0xFE, b"a" * 65_000)] * 40), None),
        "mpf.jpg": (jpeg((0xE2, several)), "*"),
    }  # fmt: skip


def corpus() -> Corpus:
    """Everything; "*" for a code stands for any refusal, or none."""
    return {**_too_large(), **_packed(), **_posing(), **_polyglots(), **_truncated(), **_metadata()}
