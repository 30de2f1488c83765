"""Adapters are found by name; what is wrong with a name or an installation is said."""

from pathlib import Path

import pytest

from relook.answerers import ANSWERERS
from relook.captioners import CAPTIONERS
from relook.core.errors import InputError, MissingExtraError, NotFoundError
from relook.core.registry import Adapter, Registry
from relook.encoders import ENCODERS
from relook.encoders.builtin import BuiltinEncoder
from relook.providers import PROVIDERS
from relook.testing import ContractError, check_adapter

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


class Named:
    """An adapter that keeps what it is opened with."""

    remote = False
    needs = ("model",)

    def __init__(self, *given: object) -> None:
        self.given = given

    @classmethod
    def open(cls, spec: str, settings: object) -> "Named":
        return cls(spec, settings)


class Silent:
    """A class of a plugin that declares nothing."""


OWN = Registry(
    "answerer",
    {
        "named": Adapter(f"{__name__}:Named", "needs a model"),
        "silent": Adapter(f"{__name__}:Silent", "declares nothing"),
        "absent": Adapter("a_package_nobody_has:Name", "cannot be imported"),
    },
)


def test_an_adapter_is_opened_with_what_stands_behind_its_name() -> None:
    assert OWN.open("named", "org/model", 7).given == ("org/model", 7)


def test_an_adapter_that_needs_a_model_is_not_opened_without_one() -> None:
    with pytest.raises(InputError, match="no model is named for 'named'") as raised:
        OWN.open("named", " ", 7)
    assert (raised.value.code, raised.value.hint) == ("no_model", "write named:MODEL")


def test_a_plugin_that_does_not_open_itself_is_refused_with_a_reason() -> None:
    with pytest.raises(InputError, match="has no open") as raised:
        OWN.open("silent", "", None)
    assert raised.value.code == "bad_plugin"


def test_facts_come_from_the_class_and_else_are_the_cautious_ones() -> None:
    assert OWN.fact("named", "remote", True) is False
    assert OWN.fact("silent", "remote", True) is True
    assert OWN.fact("absent", "remote", True) is True
    with pytest.raises(NotFoundError):
        OWN.fact("nobody", "remote", True)


@pytest.mark.parametrize("family", [ENCODERS, CAPTIONERS, ANSWERERS, PROVIDERS])
def test_every_adapter_of_ours_opens_itself_and_declares_its_facts(family: Registry) -> None:
    for name in family.builtin:
        check_adapter(family.load(name))


def test_what_stays_here_is_declared_so() -> None:
    stays = {name for name in PROVIDERS.builtin if not PROVIDERS.fact(name, "remote", True)}
    assert stays == {"library", "replay", "saved"}
    stays = {name for name in ANSWERERS.builtin if not ANSWERERS.fact(name, "remote", True)}
    assert stays == {"evidence-only", "hf"}


def test_a_class_that_declares_nothing_breaks_the_contract() -> None:
    with pytest.raises(ContractError, match="classmethod"):
        check_adapter(Silent)
    check_adapter(Named)
