"""Adapters are found by name; what is wrong with a name or an installation is said."""

from pathlib import Path

import pytest

from relook.core.errors import MissingExtraError, NotFoundError
from relook.core.registry import Adapter, Registry
from relook.encoders import ENCODERS
from relook.encoders.builtin import BuiltinEncoder

REGISTRY = Registry(
    "encoder",
    {
        "plain": Adapter("collections:OrderedDict", "one that works"),
        "heavy": Adapter("a_package_nobody_has.module:Name", "needs much", extra="hf"),
        "odd": Adapter("another_package_nobody_has:Name", "needs little"),
        "ours": Adapter("relook.no_such_module:Name", "a mistake of ours"),
    },
)


def test_a_known_name_gives_the_object() -> None:
    from collections import OrderedDict

    assert REGISTRY.load("plain") is OrderedDict
    assert ENCODERS.load("builtin") is BuiltinEncoder


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(NotFoundError) as raised:
        REGISTRY.load("heavi")
    assert raised.value.code == "unknown_encoder"
    assert raised.value.message == "no encoder is called 'heavi'"
    assert raised.value.hint == "did you mean 'heavy'?"


def test_a_name_near_to_none_is_told_with_all() -> None:
    with pytest.raises(NotFoundError) as raised:
        Registry("encoder", {"zzz": Adapter("a:b", "c")}).load("qqq")
    assert raised.value.hint.startswith("there are: ")
    assert "zzz" in raised.value.hint


def test_a_missing_package_is_told_with_the_command_that_brings_it() -> None:
    with pytest.raises(MissingExtraError) as raised:
        REGISTRY.load("heavy")
    assert raised.value.code == "missing_extra"
    assert raised.value.message == "the encoder 'heavy' needs the package 'a_package_nobody_has'"
    assert raised.value.hint == "pip install 'relook[hf]'"


def test_a_missing_package_of_a_plugin_is_told_too() -> None:
    with pytest.raises(MissingExtraError) as raised:
        REGISTRY.load("odd")
    assert raised.value.hint == "install 'another_package_nobody_has' and try again"


def test_a_module_of_ours_that_is_missing_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"relook\.no_such_module"):
        REGISTRY.load("ours")


def test_an_entry_point_of_a_third_party_is_found_and_replaces_none_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[relook.encoders]\nfromplugin = fractions:Fraction\nplain = fractions:Fraction\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from collections import OrderedDict
    from fractions import Fraction

    assert REGISTRY.load("fromplugin") is Fraction
    assert REGISTRY.load("plain") is OrderedDict
    assert REGISTRY.adapters()["fromplugin"].summary == "from fractions:Fraction"
