"""Folders of pictures, and what happens to them. Knows nothing of a library.

Every place is named by its path below the base, "a/trip/p1.png"; a picture by its number,
from which its bytes follow. A folder that is unplugged stands on the shelf meanwhile.
"""

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from relook.core.images import content_hash
from relook.testing import noise

ROOTS = ("a", "b")
INSIDE = "!/"
_FIRST_NS = 1_600_000_000 * 10**9


@cache
def picture_bytes(number: int) -> bytes:
    """The file of a picture; no two numbers have the same."""
    buffer = io.BytesIO()
    noise(number).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


@cache
def content_of(number: int) -> bytes:
    """The digest by which a library knows a picture."""
    return content_hash(picture_bytes(number))


@dataclass
class World:
    """The folders below a base.

    Args:
        base: An empty folder.
    """

    base: Path
    unplugged: dict[str, str] = field(default_factory=dict)  # folder -> what is left there
    numbers: dict[bytes, int] = field(default_factory=dict)  # digest -> picture
    n_writes: int = 0

    def __post_init__(self) -> None:
        for root in (*ROOTS, "shelf"):
            (self.base / root).mkdir(parents=True, exist_ok=True)

    def at(self, place: str) -> Path:
        """The file or folder of a place."""
        return self.base / place

    def place(self, path: bytes) -> str:
        """The place of a path as a catalog keeps it."""
        return os.path.relpath(os.fsdecode(path), self.base)

    def pictures(self) -> dict[str, int]:
        """Every picture that can be reached now, members of archives included."""
        return {place: number for place, number in self._contents().items() if number}

    def spoiled(self) -> list[str]:
        """Files that hold half a picture."""
        contents = self._contents().items()
        return [place for place, number in contents if not number and INSIDE not in place]

    def _contents(self) -> dict[str, int]:
        """Every picture file and member of an archive; 0 for one that is no whole picture."""
        contents: dict[str, int] = {}
        for root in ROOTS:
            for folder, _, names in os.walk(self.at(root)):
                for name in sorted(names):
                    place = os.path.relpath(os.path.join(folder, name), self.base)
                    if name.endswith(".png"):
                        contents[place] = self._number((self.base / place).read_bytes())
                    elif name.endswith(".zip"):
                        contents |= self._members(place)
        return contents

    def _members(self, archive: str) -> dict[str, int]:
        with zipfile.ZipFile(self.at(archive)) as file:
            return {archive + INSIDE + n: self._number(file.read(n)) for n in file.namelist()}

    def _number(self, data: bytes) -> int:
        return self.numbers.get(content_hash(data), 0)

    def files(self) -> list[str]:
        """Picture files outside archives."""
        return [place for place in self.pictures() if INSIDE not in place]

    def archives(self) -> list[str]:
        """Archives that can be reached."""
        return sorted({place.split(INSIDE)[0] for place in self.pictures() if INSIDE in place})

    def folders(self) -> list[str]:
        """Folders below the roots that can be listed and are in their places."""
        return [p for p in self._folders() if p not in self.unplugged and self._is_open(p)]

    def locked(self) -> list[str]:
        """Folders that cannot be listed."""
        return [place for place in self._folders() if not self._is_open(place)]

    def _folders(self) -> list[str]:
        below = (os.walk(self.at(root)) for root in ROOTS)
        paths = (
            os.path.join(top, name) for walk in below for top, names, _ in walk for name in names
        )
        return sorted(os.path.relpath(path, self.base) for path in paths if os.path.isdir(path))

    def _is_open(self, place: str) -> bool:
        return os.access(self.at(place), os.R_OK | os.W_OK | os.X_OK)

    def is_file(self, place: str) -> bool:
        """Whether there is a file, in a folder that can be changed."""
        path = self.at(place)
        return os.path.isfile(path) and os.access(path.parent, os.W_OK)

    def has(self, place: str) -> bool:
        """Whether there is a file or folder that can be reached."""
        return os.path.exists(self.at(place))

    def is_free(self, place: str) -> bool:
        """Whether something can be put at a place: its folder is there and it is not."""
        path = self.at(place)
        is_open = os.path.isdir(path.parent) and os.access(path.parent, os.W_OK | os.X_OK)
        return is_open and not os.path.lexists(path)

    # What people do with files. Callers have checked that it can be done.

    def write(self, place: str, number: int) -> None:
        """Puts a picture at a place, or over what is there; each write has a time of its own."""
        self.numbers[content_of(number)] = number
        self.at(place).write_bytes(picture_bytes(number))
        self._stamp(place)

    def _stamp(self, place: str) -> None:
        self.n_writes += 1
        stamp = _FIRST_NS + self.n_writes * 10**9
        os.utime(self.at(place), ns=(stamp, stamp))

    def spoil(self, place: str) -> None:
        """Cuts a file short, as a program does that has not saved all of it yet."""
        with open(self.at(place), "r+b") as file:
            file.truncate(os.path.getsize(self.at(place)) // 2)
        self._stamp(place)

    def copy(self, source: str, target: str) -> None:
        """A second file with the same picture."""
        shutil.copyfile(self.at(source), self.at(target))
        self._stamp(target)

    def move(self, source: str, target: str) -> None:
        """Renames a file or folder; a file that is there is replaced."""
        self.at(source).replace(self.at(target))

    def swap(self, first: str, second: str) -> None:
        """Two folders take each other's place."""
        aside = self.at("shelf/swap")
        self.at(first).rename(aside)
        self.at(second).rename(self.at(first))
        aside.rename(self.at(second))

    def unplug(self, folder: str, leave: str, number: int = 0) -> None:
        """Takes a folder away.

        Args:
            folder: Which.
            leave: What is there then: `nothing`, an `empty` folder, a `stray` picture in a
                folder, a `dangling` link.
            number: The stray picture.
        """
        self.at(folder).rename(self._shelved(folder))
        self.unplugged[folder] = leave
        if leave in ("empty", "stray"):
            self.at(folder).mkdir()
        if leave == "stray":
            self.write(f"{folder}/stray-{number}.png", number)
        if leave == "dangling":
            self.at(folder).symlink_to(self.at("shelf/no-such-disk"))

    def may_plug(self, folder: str, at: str) -> bool:
        """Whether a folder that went can come back to a place."""
        path, leave = self.at(folder), self.unplugged[folder]
        if at != folder or leave == "nothing":
            return self.is_free(at)
        return path.is_symlink() if leave == "dangling" else os.path.isdir(path)

    def plug(self, folder: str, at: str) -> None:
        """Brings a folder back, to its place or another; a mount hides what was there."""
        leave = self.unplugged.pop(folder)
        if at == folder and leave == "dangling":
            self.at(folder).unlink()
        elif at == folder and leave != "nothing":
            shutil.rmtree(self.at(folder), ignore_errors=True)
        self._shelved(folder).rename(self.at(at))

    def _shelved(self, folder: str) -> Path:
        return self.at("shelf") / folder.replace("/", "+")

    def pack(self, folder: str, archive: str, *, keep: bool) -> None:
        """Puts a folder's own pictures into an archive; they go unless they are kept."""
        with zipfile.ZipFile(self.at(archive), "w") as file:
            for path in sorted(self.at(folder).glob("*.png")):
                file.write(path, path.name)
        self._stamp(archive)
        if not keep:
            for path in self.at(folder).glob("*.png"):
                path.unlink()

    def rewrite(self, archive: str, members: Mapping[str, int]) -> None:
        """Writes an archive anew, with other pictures or the same under other names.

        Args:
            archive: Which.
            members: Name -> picture of every member.
        """
        self.numbers |= {content_of(number): number for number in members.values()}
        with zipfile.ZipFile(self.at(archive), "w") as file:
            for name, number in members.items():
                file.writestr(name, picture_bytes(number))
        self._stamp(archive)

    def members(self, archive: str) -> dict[str, int]:
        """Name -> picture of every member of an archive."""
        below = archive + INSIDE
        return {place.removeprefix(below): n for place, n in self._members(archive).items() if n}

    def unpack(self, archive: str, folder: str) -> None:
        """Takes an archive's pictures out into a new folder; the archive goes."""
        self.at(folder).mkdir()
        with zipfile.ZipFile(self.at(archive)) as file:
            for name in file.namelist():
                self.at(f"{folder}/{name}").write_bytes(file.read(name))
                self._stamp(f"{folder}/{name}")
        self.at(archive).unlink()
