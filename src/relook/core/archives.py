"""Pictures inside tar and zip files, read where they are. Layer: core.

Nothing is unpacked to disk or written. An archive is listed once; its list says where each
member is, so any one is read without the others. Names are identities only: they lead nowhere
on this machine.

Source: POSIX.1-2001 (ustar, pax) as the standard library reads it; .ZIP File Format
Specification 6.3.10, 4.3 (local headers) and 4.4.4 (bit 0: encrypted); the WebDataset
format, https://github.com/webdataset/webdataset (files of one sample share their name up to
the first dot).

A zip says of each name whether it is UTF-8. Many programs write UTF-8, or what their country's
Windows uses, without saying so; Python then takes the bytes for those of an American PC; here they
become what whoever made the file wrote (4.4.4 bit 11, and appendix D: CP437).
"""

import hashlib
import itertools
import posixpath
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import IO

from relook.core.beside import NamesBeside, is_takeout_name, takeout_beside, xmp_beside
from relook.core.errors import ImageError
from relook.core.picture_paths import SUFFIXES

_UTF8_FLAG = 0x800
# Of Windows; the first that makes words. Some Chinese words look like Korean ones, so that
# Korean comes first where there are several characters, all of them Hangul.
_EAST_ASIAN = ("cp932", "cp949", "gbk", "big5")
_SOME = 4
_NAMED_LETTERS = ("HIRAGANA", "KATAKANA", "CJK UNIFIED", "HANGUL", "IDEOGRAPHIC", "FULLWIDTH")
_LATIN = "FULLWIDTH LATIN"


def names_of(entries: Sequence[zipfile.ZipInfo]) -> list[bytes]:
    """The name of each member in UTF-8.

    One archive has one encoding: the one that makes sense of all its names is taken.
    """
    unsaid = [_raw(entry) for entry in entries if not entry.flag_bits & _UTF8_FLAG]
    encoding = _encoding([name for name in unsaid if not name.isascii()])
    return [
        old_name(entry)
        if entry.flag_bits & _UTF8_FLAG
        else _raw(entry).decode(encoding, "surrogateescape").encode("utf-8", "surrogateescape")
        for entry in entries
    ]


def old_name(entry: zipfile.ZipInfo) -> bytes:
    """The name as Python reads it, which older libraries know the member by."""
    return entry.filename.encode("utf-8", "surrogateescape")


def _raw(entry: zipfile.ZipInfo) -> bytes:
    """The bytes that stand in the archive, up to a NUL as Python reads them."""
    return entry.filename.encode("cp437", "replace")


def _encoding(names: Sequence[bytes]) -> str:
    if not names:
        return "utf-8"
    for encoding in ("utf-8", *_EAST_ASIAN):
        try:
            texts = [name.decode(encoding) for name in names]
        except UnicodeDecodeError:
            continue
        if encoding == "utf-8" or _makes_words(texts, korean=encoding == "cp949"):
            return encoding
    return "cp437"


def _makes_words(texts: Sequence[str], *, korean: bool) -> bool:
    """Whether texts are East Asian, and not Western letters read by the wrong table."""
    n_pairs = 0
    letters = [char for char in "".join(texts) if not char.isascii()]
    if korean and (
        len(letters) < _SOME or not all("\uac00" <= char <= "\ud7a3" for char in letters)
    ):
        return False
    for text in texts:
        kinds = ["" if char.isascii() else unicodedata.name(char, "?") for char in text]
        for kind in filter(None, kinds):
            if not kind.startswith(_NAMED_LETTERS) or kind.startswith(_LATIN):
                return False
        n_pairs += sum(bool(a and b) for a, b in itertools.pairwise(kinds))
    return n_pairs > 0


ReadAt = Callable[[int, int], bytes]
"""(offset, how many) -> those bytes of the archive; fewer only at its end."""

_PICTURES = tuple(suffix.encode() for suffix in SUFFIXES)
_WORDS = (b".txt", b".json", b".cls", b".xmp")
_NESTED = (b".tar", b".zip", b".tar.gz", b".tgz", b".tar.bz2", b".tar.xz", b".tar.zst")
_MOST_MEMBERS = 5_000_000
_MOST_HEADER = 16 * 1024**2  # of a name or a pax header; real ones have a few hundred bytes
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_ROOM = 4096  # for the name and extra fields of a zip member, so that one read is enough
_STORED, _DEFLATED = 0, 8


class ArchiveError(Exception):
    """An archive that cannot be listed; the text says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """A picture or a word file in an archive.

    Args:
        offset: Of its data in a tar, of its local header in a zip.
        size_bytes: When it is unpacked.
        stamp: Changes with its content or its words; None where the format does not say.
        n_packed: Bytes in a zip; 0 in a tar.
        method: How a zip packs it.
        crc: Of a zip's member.
        beside: Names of the word files of the same sample.
    """

    offset: int
    size_bytes: int
    stamp: int | None = None
    n_packed: int = 0
    method: int = -1
    crc: int = 0
    beside: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Archive:
    """What is in an archive.

    Args:
        pictures: By name, in the order of the archive.
        words: Word files by name.
        old_names: Names that older versions of Relook read otherwise, and what they are.
        skips: Name, code and reason of what is no picture that can be read.
        others: Names of members that are neither pictures nor words, by their suffix.
    """

    pictures: dict[bytes, Member] = field(default_factory=dict)
    words: dict[bytes, Member] = field(default_factory=dict)
    old_names: dict[bytes, bytes] = field(default_factory=dict)
    skips: list[tuple[bytes, str, str]] = field(default_factory=list)
    others: list[bytes] = field(default_factory=list)

    def read(self, name: bytes, read_at: ReadAt, max_bytes: int) -> bytes:
        """The bytes of one member.

        Raises:
            ImageError: `vanished`, `file_too_large`, `empty_file` or `bad_member`.
        """
        name = self.old_names.get(name, name)
        member = self.pictures.get(name) or self.words.get(name)
        if member is None:
            raise ImageError("vanished", "the archive does not have it any more")
        if member.size_bytes > max_bytes:
            raise ImageError(
                "file_too_large",
                f"the member has {member.size_bytes:,} bytes; the limit is {max_bytes:,}",
            )
        if member.size_bytes == 0:
            raise ImageError("empty_file", "the member is empty (0 bytes)")
        if member.method < 0:
            data = read_at(member.offset, member.size_bytes)
        else:
            data = _unpacked(member, read_at)
        if len(data) != member.size_bytes:
            raise ImageError("bad_member", "the archive ends before the member does")
        return data


def list_archive(name: bytes, file: IO[bytes], n_bytes: int) -> Archive:
    """Lists the pictures of an archive.

    Args:
        name: Its path; the suffix says what it is.
        file: Open for reading, at its beginning.
        n_bytes: Its size.

    Raises:
        ArchiveError: when it is damaged, or made to cost more than it has.
    """
    archive = Archive()
    try:
        is_zip = name.lower().endswith(b".zip")
        members = _zip(archive, file, n_bytes) if is_zip else _tar(file)
        for number, (raw, member, trouble) in enumerate(members):
            if number >= _MOST_MEMBERS:
                raise ArchiveError(f"it has more than {_MOST_MEMBERS:,} members")
            _add(archive, raw, member, trouble)
    except ArchiveError:
        raise
    # Readers of hostile bytes fail with nearly any exception: this is the per-archive edge.
    except Exception as error:
        raise ArchiveError(f"it is damaged: {error or type(error).__name__}") from error
    _group(archive)
    return archive


def _add(archive: Archive, raw: bytes, member: Member, trouble: tuple[str, str] | None) -> None:
    name = posixpath.normpath(raw) if raw else b""
    lower = name.lower()
    if lower.endswith(_NESTED):
        trouble = ("nested_archive", "an archive inside an archive is not read")
    elif not lower.endswith((*_PICTURES, *_WORDS)):
        archive.others.append(name)
        return
    if name.startswith((b"/", b"../")):
        trouble = ("unsafe_name", "its name leads out of the archive")
    elif b"\0" in name:
        trouble = ("unsafe_name", "a NUL stands in its name")
    if trouble is None:
        kept = archive.words if lower.endswith(_WORDS) else archive.pictures
        if kept is archive.pictures and name in kept and _is_another(kept[name], member):
            place = b"%b at byte %d" % (name, kept[name].offset)
            archive.skips.append((place, "same_name", "a later member has the same name"))
        kept[name] = member  # of two with one name the later counts, as in `tar -r`
    elif not lower.endswith(_WORDS):
        archive.pictures.pop(name, None)
        archive.skips.append((name, *trouble))


def _is_another(before: Member, member: Member) -> bool:
    """Whether two members of one name are two pictures: in a tar the later is made to replace."""
    is_same = (before.crc, before.size_bytes) == (member.crc, member.size_bytes)
    return member.method >= 0 and not is_same


def _group(archive: Archive) -> None:
    """Says of each picture which word files belong to it."""
    if not archive.words:
        return
    beside: dict[bytes, set[bytes]] = {}
    by_stem, by_key = _pictures_by(archive, _stem), _pictures_by(archive, _key)
    for word in archive.words:
        if _is_as_in_folders(word):
            continue
        stem = _stem(word)
        own = [stem] if stem in archive.pictures else by_stem.get(stem, [])
        of_key = by_key.get(_key(word), [])
        # Of several pictures with that key nobody can say whose it is.
        for name in own or (of_key if len(of_key) == 1 else []):
            beside.setdefault(name, set()).add(word)
    _add_as_in_folders(archive, beside)
    for name, words in beside.items():
        entry, several = archive.pictures[name], tuple(sorted(words))
        stamps = [archive.words[word].stamp for word in several]
        stamp = None if entry.stamp is None else _stamp(entry.stamp, *stamps)
        archive.pictures[name] = replace(entry, stamp=stamp, beside=several)


def _is_as_in_folders(word: bytes) -> bool:
    """Whether a word file is no WebDataset's: XMP, and JSON that names its picture in full."""
    return word.lower().endswith(b".xmp") or is_takeout_name(posixpath.basename(word))


def _add_as_in_folders(archive: Archive, beside: dict[bytes, set[bytes]]) -> None:
    """Adds XMP and Google Takeout's files by the rules that hold in folders."""
    files = [word for word in archive.words if word.lower().endswith((b".json", b".xmp"))]
    by_folder: dict[bytes, set[bytes]] = {}
    for folder, base in map(posixpath.split, (*files, *archive.pictures) if files else ()):
        by_folder.setdefault(folder, set()).add(base)
    names = {folder: NamesBeside.of(bases) for folder, bases in by_folder.items()}
    for name in archive.pictures if files else ():
        folder, base = posixpath.split(name)
        for word in (takeout_beside(base, names[folder]), xmp_beside(base, names[folder])):
            if word is not None:
                beside.setdefault(name, set()).add(posixpath.join(folder, word))


def _pictures_by(archive: Archive, part: Callable[[bytes], bytes]) -> dict[bytes, list[bytes]]:
    pictures: dict[bytes, list[bytes]] = {}
    for name in archive.pictures:
        pictures.setdefault(part(name), []).append(name)
    return pictures


def _stem(name: bytes) -> bytes:
    return posixpath.splitext(name)[0]


def _key(name: bytes) -> bytes:
    """What WebDataset calls a sample: the name up to the first dot."""
    folder, base = posixpath.split(name)
    return folder + b"/" + base.partition(b".")[0]


def _stamp(*numbers: object) -> int:
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _tar(file: IO[bytes]) -> Iterator[tuple[bytes, Member, tuple[str, str] | None]]:
    careful = _Careful(file)
    with tarfile.open(fileobj=careful, mode="r:", encoding="utf-8") as tar:  # type: ignore[call-overload]
        while (entry := tar.next()) is not None:
            tar.members = []  # or it keeps every header
            name = entry.name.encode("utf-8", "surrogateescape")
            trouble = None
            if entry.issym() or entry.islnk():
                trouble = ("link_in_archive", f"it is a link to {entry.linkname!r}")
            elif entry.isdir():
                continue
            elif not entry.isreg():
                trouble = ("not_a_file", "it is not a regular file")
            elif entry.sparse is not None:
                trouble = ("sparse_member", "it is stored with holes, which is not read")
            yield name, Member(entry.offset_data, entry.size), trouble
        # The reader takes a damaged header for the end.
        file.seek(tar.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise ArchiveError(f"it is damaged from byte {tar.offset:,} on")
    if file.seek(0, 2) < tar.offset - tarfile.RECORDSIZE:
        raise ArchiveError("it ends before its last member does")


class _Careful:
    """A file of which no header makes the reader take in more than a header may have."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.close = file.seek, file.tell, lambda: None

    def read(self, n_bytes: int) -> bytes:
        if not 0 <= n_bytes <= _MOST_HEADER:
            raise ArchiveError(f"a header claims {n_bytes:,} bytes")
        return self._file.read(n_bytes)


def _zip(
    archive: Archive, file: IO[bytes], n_bytes: int
) -> Iterable[tuple[bytes, Member, tuple[str, str] | None]]:
    with zipfile.ZipFile(file) as pack:
        several = pack.infolist()
    if sum(entry.compress_size for entry in several) > n_bytes:
        raise ArchiveError("its members overlap, as those of a zip bomb do")
    for entry, name in zip(several, names_of(several), strict=True):
        trouble = None
        if (old := old_name(entry)) != name:
            archive.old_names[posixpath.normpath(old)] = posixpath.normpath(name)
        if entry.is_dir():
            continue
        if entry.flag_bits & 1:
            trouble = ("encrypted", "it is encrypted")
        elif entry.external_attr >> 28 == 0xA:
            trouble = ("link_in_archive", "it is a link")
        elif entry.compress_type not in (_STORED, _DEFLATED):
            trouble = ("unknown_packing", f"packing method {entry.compress_type} is not read")
        stamp = _stamp(entry.CRC, entry.file_size)
        yield (
            name,
            Member(
                entry.header_offset,
                entry.file_size,
                stamp,
                entry.compress_size,
                entry.compress_type,
                entry.CRC,
            ),
            trouble,
        )


def _unpacked(member: Member, read_at: ReadAt) -> bytes:
    """The data of a zip's member, never more than it claims."""
    room = _LOCAL_HEADER.size + _ROOM + member.n_packed
    data = read_at(member.offset, room)
    if len(data) < _LOCAL_HEADER.size or data[:4] != b"PK\3\4":
        raise ImageError("bad_member", "the archive is damaged where the member begins")
    _, n_name, n_extra = _LOCAL_HEADER.unpack_from(data)
    start = _LOCAL_HEADER.size + n_name + n_extra
    if start > _LOCAL_HEADER.size + _ROOM:
        data, start = read_at(member.offset + start, member.n_packed), 0
    packed = data[start : start + member.n_packed]
    if member.method == _DEFLATED:
        try:
            packed = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size_bytes)
        except zlib.error as error:
            raise ImageError("bad_member", f"it cannot be unpacked: {error}") from error
    if zlib.crc32(packed) != member.crc:
        raise ImageError("bad_member", "its content is not what the archive says it is")
    return packed
