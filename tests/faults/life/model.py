"""What must be true of a library, whatever people did. Knows nothing of how Relook does it.

The model holds every image with the picture it shows, and every session with its marks. A run
of indexing is judged by what the folders show: `settle` says what each image may have become,
and takes over what was free (the ids of new images, which of two equal copies an image is).
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from .indexing_run import Run, is_below
from .model_values import BrokenError, Image, SessionModel, Words
from .world import ROOTS


class Model:
    """What a library must hold."""

    def __init__(self) -> None:
        self.images: dict[int, Image] = {}
        self.sessions: dict[str, SessionModel] = {}
        self.albums: dict[str, set[int]] = {}
        self.deleted_albums: dict[str, set[int]] = {}  # which can be brought back
        self.forgotten: set[tuple[str, int]] = set()  # place and picture: may return as it was
        self.taken_out: set[int] = set()  # by a repair: the file at their place is an edit of them
        self.half_seen: set[int] = set()  # came in a run that was killed: beside what, nobody knows
        self.is_settled = False  # whether the last run saw everything

    def referred(self) -> set[int]:
        """Images that a mark, an album or words refer to: these must never be lost."""
        ids = {image_id for image_id, image in self.images.items() if any(image.words)}
        for session in self.sessions.values():
            ids.update(mark.image_id for mark in session.marks.values())
        return ids.union(*self.albums.values(), *self.deleted_albums.values())

    def here(self) -> dict[str, int]:
        """Place -> id of the images that the last run found in their places."""
        return {image.place: i for i, image in self.images.items() if image.state == "here"}

    def check_sessions(self, actual: Mapping[str, SessionModel]) -> None:
        """Sessions, pages and marks are exactly those that people made."""
        for name, expected in self.sessions.items():
            session = actual.get(expected.session_id)
            if session is None:
                raise BrokenError(f"session {name} is gone")
            if session != expected:
                raise BrokenError(f"session {name} is\n    {session}\n  and not\n    {expected}")
        if len(actual) != len(self.sessions):
            raise BrokenError(f"there are {len(actual)} sessions, not {len(self.sessions)}")

    def check_images(self, actual: Mapping[int, Image]) -> None:
        """Images are exactly what they were: for steps that do not index."""
        for image_id, image in self.images.items():
            now = actual.get(image_id)
            if now is None and image.state == "gone":
                continue
            if now is None:
                raise BrokenError(f"image {image_id} of {image} is gone")
            if (now.place, now.picture, now.words) != (image.place, image.picture, image.words):
                raise BrokenError(f"image {image_id} of {image} {image.words} is {now} {now.words}")
        if strange := actual.keys() - self.images.keys():
            raise BrokenError(f"images {sorted(strange)} came from nowhere")

    def below(self, place: str) -> set[int]:
        """Images at a place or below it."""
        images = ((i, image) for i, image in self.images.items() if image.state != "gone")
        return {i for i, image in images if image.place == place or is_below(image.place, place)}

    def forget(self, place: str, actual: Mapping[int, Image]) -> None:
        """A person took out what is at a place: nothing is promised about it any more."""
        forgotten = self.below(place) - actual.keys()
        here = {i for i in self.below(place) if self.images[i].state == "here"}
        if not forgotten or here - forgotten:
            raise BrokenError(f"images {sorted(here - forgotten)} of {place} are not forgotten")
        gone = {i for i, o in self.images.items() if o.state == "gone" and is_below(o.place, place)}
        for image_id in forgotten | gone:
            self.forgotten.add((self.images[image_id].place, self.images[image_id].picture))
            del self.images[image_id]

    def take_out(self, actual: Mapping[int, Image]) -> None:
        """A repair took out images with damaged vectors; they come back with their ids."""
        referred = self.referred()
        for image_id in self.images.keys() - actual.keys():
            self.taken_out.add(image_id)
            if image_id in referred:
                self.images[image_id] = replace(self.images[image_id], state="gone")
            else:
                del self.images[image_id]
        self.is_settled = False

    def are_at(self, disk: Mapping[str, int], source: str, target: str) -> set[int]:
        """Images below a folder whose pictures are below another now."""
        images = ((i, self.images[i]) for i in self.below(source))
        return {i for i, o in images if disk.get(_moved(o.place, source, target)) == o.picture}

    def relabel(
        self, disk: Mapping[str, int], actual: Mapping[int, Image], source: str, target: str
    ) -> None:
        """A person said that a folder is another now: images there have their new places."""
        there = self.are_at(disk, source, target)
        for image_id in self.below(source):
            image = self.images[image_id]
            moved = replace(image, place=_moved(image.place, source, target))
            now = actual[image_id]
            if image_id in there or now.place == moved.place:
                self.images[image_id] = moved
        self.is_settled = False

    def settle(
        self,
        disk: Mapping[str, int],
        actual: Mapping[int, Image],
        roots: Collection[str],
        *,
        spoiled: Collection[str] = (),
        said: Mapping[str, Words] | None = None,
        whole: bool = True,
    ) -> None:
        """Judges what a run of indexing did, and takes it over.

        Args:
            disk: The pictures that can be reached now, by place.
            actual: The images of the library after the run.
            roots: What the run went over.
            spoiled: Files that hold half a picture.
            said: What a sidecar said, by place.
            whole: Whether the run came to its end.

        Raises:
            BrokenError: with the first thing that must not be.
        """
        referred = self.referred()
        before = {i: o for i, o in self.images.items() if o.state != "gone" or i in referred}
        run = Run(
            before, referred, disk, actual, tuple(roots), said or {}, whole, self.forgotten,
            spoiled, self.taken_out, self.half_seen,
        )  # fmt: skip
        run.check()
        kept = {i: replace(self.images[i], state="gone") for i in run.kept_gone()}
        self.images = {**kept, **run.images_now()}
        self.taken_out -= actual.keys()
        self.half_seen = set() if whole else self.half_seen | (actual.keys() - before.keys())
        self.is_settled = whole and set(roots) == set(ROOTS)


def _moved(place: str, source: str, target: str) -> str:
    return target + place.removeprefix(source)
