"""What people do with albums: each step says whether it could be done."""

import relook

from .model import Model
from .model_values import BrokenError

_ENTRIES = (
    "SELECT title, image_id FROM album_images JOIN albums USING (album_id)"
    " WHERE deleted_s IS {}NULL"
)


class AlbumSteps:
    """Steps that put pictures together.

    Attributes:
        model, library: Of the life.
    """

    model: Model
    library: relook.Library

    def put(self, name: str, place: str) -> bool:
        """Puts a picture into an album, which may be new."""
        image_id = self.model.here().get(place)
        if image_id is None or name in self.model.deleted_albums:
            return False
        change = self.library.albums.add(name, [image_id])
        album = self.model.albums.setdefault(name, set())
        if change.n_changed and image_id in album:
            raise BrokenError(f"{place} was not in album {name} any more")
        if change.n_changed:  # else one that is gone has it stand in
            album.add(image_id)
        return True

    def take_out(self, name: str, place: str) -> bool:
        """Takes a picture out of an album, and those that it stands in for."""
        image_id, album = self.model.here().get(place), self.model.albums.get(name)
        if image_id is None or album is None:
            return False
        self.library.albums.remove(name, [image_id])
        images, kept = self.model.images, self._entries("").get(name, set())
        for lost in album - kept - {image_id}:
            picture = images[lost].picture if lost in images else images[image_id].picture
            is_here = lost in images and images[lost].state != "gone"
            if is_here or picture != images[image_id].picture:
                raise BrokenError(f"image {lost} left album {name} together with {image_id}")
        if image_id in kept:
            raise BrokenError(f"{place} was taken out of album {name}, and is in it")
        self.model.albums[name] = album & kept
        return True

    def delete_album(self, name: str) -> bool:
        """Deletes an album."""
        if name not in self.model.albums:
            return False
        self.library.albums.delete(name)
        self.model.deleted_albums[name] = self.model.albums.pop(name)
        return True

    def restore_album(self, name: str) -> bool:
        """Brings a deleted album back."""
        if name not in self.model.deleted_albums:
            return False
        self.library.albums.restore(name)
        self.model.albums[name] = self.model.deleted_albums.pop(name)
        return True

    def _entries(self, negation: str) -> dict[str, set[int]]:
        """Album -> images that were put there, as the catalog keeps them."""
        entries: dict[str, set[int]] = {}
        catalog = self.library.files.catalog
        if catalog.ask("SELECT 1 FROM sqlite_master WHERE name = 'albums'"):
            for name, image_id in catalog.ask(_ENTRIES.format(negation)):
                entries.setdefault(str(name), set()).add(int(str(image_id)))
        return entries

    def check_albums(self) -> None:
        """Albums hold exactly what people put there, and show what of it is in the library."""
        images = {image.image_id for image in self.library.files.catalog.each_image()}
        for negation, albums in (("", self.model.albums), ("NOT ", self.model.deleted_albums)):
            kept = self._entries(negation)
            for name in albums.keys() | kept.keys():
                if kept.get(name, set()) != albums.get(name, set()):
                    raise BrokenError(
                        f"album {name} holds {kept.get(name)}, not {albums.get(name)}"
                    )
        for name, album in self.model.albums.items():
            shown = set(self.library.albums.image_ids(name))
            if lost := (album & images) - shown:
                raise BrokenError(f"album {name} does not show {sorted(lost)}")
