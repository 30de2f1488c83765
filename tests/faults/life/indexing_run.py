"""One run of indexing, judged by what the folders show: what each image may have become."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from .model_values import BrokenError, Image, Words
from .world import INSIDE


@dataclass
class Run:
    """One run of indexing: the images before, the folders, and the images after."""

    before: Mapping[int, Image]
    referred: set[int]
    disk: Mapping[str, int]
    after: Mapping[int, Image]
    roots: tuple[str, ...]
    said: Mapping[str, Words]
    whole: bool
    forgotten: Collection[tuple[str, int]] = ()
    spoiled: Collection[str] = ()
    taken_out: Collection[int] = ()
    half_seen: Collection[int] = ()

    def __post_init__(self) -> None:
        self.within = {p: n for p, n in self.disk.items() if self._is_covered(p)}
        self.n_owners = Counter(image.place for image in self.before.values())
        owned = {i.place for i in self.before.values() if self.disk.get(i.place) == i.picture}
        # Pictures at places where the library did not have them.
        self.arrivals: dict[int, set[str]] = defaultdict(set)
        for place, picture in self.within.items():
            if place not in owned:
                self.arrivals[picture].add(place)
        # Images that do not show in their old place what they did.
        self.lost: dict[int, set[int]] = defaultdict(set)
        for image_id, image in self.before.items():
            if self.disk.get(image.place) != image.picture:
                self.lost[image.picture].add(image_id)

    def check(self) -> None:
        for image_id, image in self.before.items():
            self._check_one(image_id, image, self.after.get(image_id))
        for image_id in self.after.keys() - self.before.keys():
            new = self.after[image_id]
            if self.within.get(new.place) != new.picture:
                raise BrokenError(f"new image {image_id} of {new}: no such file")
        for image_id, now in self.after.items():
            self._check_words(image_id, now)
        if self.whole:
            self._check_every_file()
            self._check_moves()

    def _check_one(self, image_id: int, image: Image, now: Image | None) -> None:
        """What has become of one image."""
        title = f"image {image_id} of {image}"
        there = self.disk.get(image.place)
        if there == image.picture:
            settled = self._is_covered(image.place) or image.state != "gone"
            alone = self.n_owners[image.place] == 1
            same = now is not None and (now.place, now.picture) == (image.place, image.picture)
            if settled and alone and (self.whole or image.state == "here") and not same:
                raise BrokenError(f"{title}: its file is there, but it is {now or 'gone'}")
        if now is None:
            self._check_missing(image_id, image, title)
        elif now.picture == image.picture:
            stays = now.place == image.place
            if not stays and now.place not in self.arrivals[image.picture]:
                raise BrokenError(f"{title} says that it is {now}, which is another's or no file")
            if stays and there not in (None, image.picture) and self._must_be_edited(image):
                raise BrokenError(f"{title}: its place shows picture {there} now")
            if stays and there is None and self._must_be_deleted(image_id, image):
                raise BrokenError(f"{title} was deleted, and is kept though nothing refers to it")
        elif now.place == image.place and now.picture == there:
            self._check_edit(image, title, taken_out=image_id in self.taken_out)
        else:
            raise BrokenError(f"{title} shows another picture: {now}")

    def _must_be_edited(self, image: Image) -> bool:
        """Whether a file with another picture is an edit: its folder is the one it was.

        Another disk in the place of one that went may have files of the same names, and a
        picture that was moved over another stays itself.
        """
        read = self.whole and self._is_covered(image.place) and image.state == "here"
        return read and not self.lost[self.disk[image.place]] and self._shows_another(image)

    def _check_missing(self, image_id: int, image: Image, title: str) -> None:
        if image.state == "gone":
            return
        if image.place in self.disk:
            there = self.disk[image.place]
            displaced = image.state == "away"  # by another's picture, before this run
            came = self.lost[there] or self.arrivals[image.picture]
            if not (displaced or came or there == image.picture):
                raise BrokenError(f"{title}: its file was edited, and it is gone")
        elif image.place in self.spoiled:
            raise BrokenError(f"{title}: its file cannot be used just now, and it was deleted")
        elif self._must_be_away(image.place):
            raise BrokenError(f"{title} is away, and was deleted")

    def _check_edit(self, image: Image, title: str, *, taken_out: bool) -> None:
        """Another picture at the image's place: an edit, unless it came from somewhere else."""
        there = self.disk[image.place]
        if image.state == "gone" and not taken_out:
            raise BrokenError(f"{title} was deleted, and became picture {there}")
        came = any(self.before[i].state != "gone" for i in self.lost[there])
        if came and self.arrivals[image.picture]:
            raise BrokenError(
                f"{title} and picture {there} changed places; the marks did not follow"
            )

    def _check_words(self, image_id: int, now: Image) -> None:
        """Words stay, unless a sidecar has others; those of an equal picture may be added."""
        before, said = self.before.get(image_id), self.said.get(now.place, ("", ""))
        own = ("", "") if before is None else before.words
        is_read = self.whole and self.within.get(now.place) == now.picture
        if now.words == own and not is_read:
            return
        allowed = [own]
        if before is None or before.picture != now.picture:
            both = (*self.before.values(), *self.after.values())
            equal = [i.words for i in both if i.picture == now.picture and i is not now]
            allowed += [(own[0] or words[0], own[1] or words[1]) for words in equal]
        if now.words not in [(said[0] or title, said[1] or about) for title, about in allowed]:
            raise BrokenError(f"image {image_id} of {now} is called {now.words}, not {allowed[0]}")

    def _check_every_file(self) -> None:
        shown = Counter((image.place, image.picture) for image in self.after.values())
        for place, picture in self.within.items():
            if shown[place, picture] != 1:
                raise BrokenError(
                    f"{shown[place, picture]} images are of {place} with picture {picture}"
                )

    def _check_moves(self) -> None:
        """Pictures that arrived are images whose files cannot be reached, where there are any."""
        for picture, places in self.arrivals.items():
            lost = self.lost[picture]
            waiting = [i for i in lost if self.before[i].place not in self.disk]
            waiting = [i for i in waiting if self._is_kept(i)]
            free = [
                place
                for place in places
                if not self.n_owners[place] and (place, picture) not in self.forgotten
            ]
            placed = [i for i in lost if i in self.after and self.after[i].place in places]
            if len(placed) < min(len(waiting), len(free)):
                told = ", ".join(f"{i} of {self.before[i]}" for i in sorted(waiting))
                raise BrokenError(
                    f"{sorted(places)} show picture {picture} of image {told}: a new id"
                )

    def _is_kept(self, image_id: int) -> bool:
        image = self.before[image_id]
        waits = image_id in self.taken_out and image.place in self.spoiled  # for its file
        return (image.state != "gone" or image_id in self.referred) and not waits

    def _must_be_away(self, place: str) -> bool:
        """Whether nothing that was indexed in the folder of a file is there any more."""
        folder = _folder(place)
        known = {image.place for image in self.before.values()}
        shown = {o.picture for o in self.before.values() if is_below(o.place, folder)}
        there = {p: n for p, n in self.disk.items() if is_below(p, folder)}
        return not any(p in known or picture in shown for p, picture in there.items())

    def _must_be_deleted(self, image_id: int, image: Image) -> bool:
        """Whether a file is missing from a folder that shows another as it was."""
        if image.state != "here" or image_id in self.referred or not self.whole:
            return False
        if image.place in self.spoiled or image_id in self.half_seen:
            return False
        return self._is_covered(image.place) and self._shows_another(image)

    def _shows_another(self, image: Image) -> bool:
        """Whether the folder of an image shows another one that was seen there with it."""
        folder = _folder(image.place)
        return any(
            _folder(other.place) == folder and self.disk.get(other.place) == other.picture
            for i, other in self.before.items()
            if other.state == "here" and i not in self.half_seen
        )

    def _is_covered(self, place: str) -> bool:
        return any(is_below(place, root) for root in self.roots)

    def kept_gone(self) -> set[int]:
        """Images that left the library, and must come back with their pictures."""
        return (self.before.keys() - self.after.keys()) & self.referred

    def images_now(self) -> dict[int, Image]:
        """The images of the library, with the state that the folders say."""
        images = {}
        for image_id, now in self.after.items():
            is_here = self.disk.get(now.place) == now.picture
            images[image_id] = replace(now, state="here" if is_here else "away")
        return images


def _folder(place: str) -> str:
    return place.rpartition(INSIDE if INSIDE in place else "/")[0]


def is_below(place: str, folder: str) -> bool:
    return place.startswith((folder + "/", folder + INSIDE))
