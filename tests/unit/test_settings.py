"""Every setting says what it is."""

import dataclasses

import pytest

from relook.core import settings
from relook.core.settings import help_of

CLASSES = [
    getattr(settings, name) for name in vars(settings) if name.endswith(("Settings", "Limits"))
]


@pytest.mark.parametrize("kind", CLASSES)
def test_every_setting_has_a_help_text_and_a_default(kind: type) -> None:
    fields = dataclasses.fields(kind)
    assert fields
    for field in fields:
        assert len(help_of(kind, field.name)) > 10
        assert field.default is not dataclasses.MISSING
    assert dataclasses.is_dataclass(kind)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(kind(), fields[0].name, 1)
