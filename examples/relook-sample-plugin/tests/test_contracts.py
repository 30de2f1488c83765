"""Relook's own checks of what a plugin promises, and one exact result of each."""

from pathlib import Path

import numpy as np
from relook_sample.captioner import LightCaptioner
from relook_sample.encoder import PaletteEncoder
from relook_sample.provider import FolderProvider

from relook.encoders.base import encode_images
from relook.providers import Lookup, Outcome
from relook.testing import (
    check_adapter,
    check_captioner,
    check_encoder,
    check_provider,
    noise,
    solid,
)
from relook.testing.providers import sample_subject


def test_the_encoder_keeps_its_promises() -> None:
    check_adapter(PaletteEncoder)
    check_encoder(PaletteEncoder)
    encoder = PaletteEncoder()
    vectors = encode_images(encoder, [solid("red"), solid("blue")])  # [2, d]
    assert np.argmax(vectors @ encoder.encode_texts(["a crimson sky"])[0]) == 0


def test_the_captioner_keeps_its_promises() -> None:
    check_adapter(LightCaptioner)
    check_captioner(LightCaptioner)
    assert LightCaptioner().caption([solid("black", 64, 32)])[0][0].text == "dark and wide"


def test_the_provider_keeps_its_promises(tmp_path: Path) -> None:
    check_adapter(FolderProvider)
    check_provider(lambda: FolderProvider(str(tmp_path)), finds=False)
    noise(1, 128, 96).save(tmp_path / "Rila Monastery.png")
    noise(2, 128, 96).save(tmp_path / "Another.png")
    (tmp_path / "notes.txt").write_text("no picture")
    found = FolderProvider(str(tmp_path)).find(sample_subject(1), Lookup())
    assert [match.title for match in found.matches] == ["Rila Monastery"]
    gone = FolderProvider(str(tmp_path / "none")).find(sample_subject(1), Lookup())
    assert gone.outcome is Outcome.FAILED
