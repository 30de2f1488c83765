"""What people do with pictures and folders: each step says whether it could be done."""

import os

from .world import ROOTS, World


class FileSteps:
    """Steps that change folders. No library is told of them.

    Attributes:
        world: The folders.
    """

    world: World

    def add_picture(self, place: str, picture: int) -> bool:
        """A picture comes from a camera, or back from the bin."""
        if not self.world.is_free(place):
            return False
        self.world.write(place, picture)
        return True

    def edit(self, place: str, picture: int) -> bool:
        """A picture becomes another, as a program that saves it does."""
        if not self.world.is_file(place):
            return False
        self.world.write(place, picture)
        return True

    def copy(self, source: str, target: str) -> bool:
        """A second file with the same picture."""
        if not self.world.is_file(source) or not self.world.is_free(target):
            return False
        self.world.copy(source, target)
        return True

    def move(self, source: str, target: str) -> bool:
        """A file or folder is renamed, or moved to another folder or disk."""
        inside = target.startswith(source + "/")
        if inside or not self.world.has(source) or not self.world.is_free(target):
            return False
        self.world.move(source, target)
        return True

    def move_over(self, source: str, target: str) -> bool:
        """A file takes the place of another."""
        if not self.world.is_file(source) or not self.world.is_file(target):
            return False
        self.world.move(source, target)
        return source != target

    def delete(self, place: str) -> bool:
        """A file is deleted: a picture, or an archive."""
        if not self.world.is_file(place):
            return False
        self.world.at(place).unlink()
        return True

    def swap(self, first: str, second: str) -> bool:
        """Two folders take each other's place, as two disks that mount in another order."""
        nested = first.startswith(second + "/") or second.startswith(first + "/")
        folders = self.world.folders()
        if nested or first == second or first not in folders or second not in folders:
            return False
        self.world.swap(first, second)
        return True

    def unplug(self, folder: str, leave: str, picture: int = 0) -> bool:
        """A disk goes; see `World.unplug` for what it leaves."""
        possible = folder in (*self.world.folders(), *ROOTS) and folder not in self.world.unplugged
        if not possible or not self.world.at(folder).is_dir():
            return False
        self.world.unplug(folder, leave, picture)
        return True

    def plug(self, folder: str, at: str) -> bool:
        """A disk comes back, at its place or at another."""
        if folder not in self.world.unplugged or not self.world.may_plug(folder, at):
            return False
        self.world.plug(folder, at)
        return True

    def lock(self, folder: str) -> bool:
        """A folder cannot be read any more; for root everything can."""
        if os.geteuid() == 0 or folder not in self.world.folders():
            return False
        self.world.at(folder).chmod(0)
        return True

    def unlock(self, folder: str) -> bool:
        """It can be read again."""
        if folder not in self.world.locked():
            return False
        self.world.at(folder).chmod(0o755)
        return True

    def pack(self, folder: str, archive: str, keep: bool) -> bool:
        """Pictures go into an archive."""
        if not any(self.world.at(folder).glob("*.png")) or not self.world.is_free(archive):
            return False
        self.world.pack(folder, archive, keep=keep)
        return True

    def unpack(self, archive: str, folder: str) -> bool:
        """Pictures come out of an archive."""
        if not self.world.is_file(archive) or not self.world.is_free(folder):
            return False
        self.world.unpack(archive, folder)
        return True

    def put_member(self, archive: str, name: str, picture: int) -> bool:
        """A picture is added to an archive, or takes the place of one there."""
        if not self.world.is_file(archive):
            return False
        self.world.rewrite(archive, {**self.world.members(archive), name: picture})
        return True

    def remove_member(self, archive: str, name: str) -> bool:
        """A picture is taken out of an archive that keeps others."""
        members = self.world.members(archive) if self.world.is_file(archive) else {}
        if name not in members or len(members) == 1:
            return False
        self.world.rewrite(archive, {other: n for other, n in members.items() if other != name})
        return True

    def move_member(self, archive: str, name: str, target: str) -> bool:
        """A picture has another name in its archive."""
        members = self.world.members(archive) if self.world.is_file(archive) else {}
        if name not in members or target in members:
            return False
        moved = {target if other == name else other: n for other, n in members.items()}
        self.world.rewrite(archive, moved)
        return True
