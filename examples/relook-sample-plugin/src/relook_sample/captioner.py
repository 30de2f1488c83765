"""A captioner that tells how bright a crop is, and its shape."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from relook.captioners import About, Captioned, Phrase
from relook.captioners.base import NOTHING_KNOWN, Cancelled, cancelled
from relook.core.settings import CaptionerSettings


class LightCaptioner:
    """Says `dark and wide`, `bright and tall`, ..."""

    name = "light"
    remote = False  # crops stay on this machine
    needs = ()
    takes_prompt = False

    @classmethod
    def open(cls, spec: str, settings: CaptionerSettings, prompt: str = "") -> LightCaptioner:
        """What stands behind the colon of `light:MODEL` is the model; this one has none."""
        return cls()

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        """Phrases for each crop, the best first; a crop whose turn did not come says so."""
        return [
            cancelled() if stop is not None and stop() else self._phrases(image)[:limit]
            for image in images
        ]

    def _phrases(self, image: Image.Image) -> list[Phrase]:
        light = float(np.asarray(image.convert("L")).mean()) / 255  # 0..1
        word = "dark" if light < 1 / 3 else "bright" if light > 2 / 3 else "grey"
        shape = "wide" if image.width > image.height else "tall"
        return [Phrase(f"{word} and {shape}", 1.0), Phrase(word, 0.5)]

    def close(self) -> None:
        """It holds nothing."""
