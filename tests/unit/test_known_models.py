"""Models by a short name: which form is meant, and what is said of them."""

import json

import pytest

from relook.app.models import make_encoder
from relook.cli.main import main
from relook.core.errors import MissingExtraError, ModelError, NotFoundError
from relook.encoders import ENCODERS, known_models
from relook.encoders.known_models import KNOWN, languages_of, resolve
from relook.encoders.spec import ModelSpec


@pytest.fixture(autouse=True)
def nothing_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_models, "is_here", lambda _: False)


def installed(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    monkeypatch.setattr(known_models, "_is_installed", lambda kind: kind in kinds)


def test_a_name_is_no_adapter_and_has_a_form_at_least() -> None:
    for name, model in KNOWN.items():
        assert name not in ENCODERS.builtin
        assert ModelSpec.parse(name) == ModelSpec(name)
        assert model.forms
        assert set(model.forms) <= set(ENCODERS.builtin)
        assert (model.recall is None) == (not model.source)


def test_what_is_installed_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    name = ModelSpec.parse("siglip2-base?tiles=none")
    installed(monkeypatch, "hf", "onnx")
    assert str(resolve(name)) == "hf:google/siglip2-base-patch16-224?tiles=none"
    installed(monkeypatch, "onnx")
    onnx = "onnx:onnx-community/siglip2-base-patch16-224-ONNX"
    assert str(resolve(name)) == f"{onnx}?tiles=none"
    installed(monkeypatch)
    with pytest.raises(MissingExtraError, match="siglip2-base") as raised:
        resolve(name)
    assert raised.value.hint == "pip install 'relook[onnx]' or pip install 'relook[hf]'"


def test_a_library_keeps_the_form_that_it_was_made_with(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "hf", "onnx")
    kept = ModelSpec.parse("onnx:onnx-community/siglip2-base-patch16-224-ONNX?revision=abc")
    assert resolve(ModelSpec("siglip2-base"), kept).kind == "onnx"
    other = ModelSpec.parse("onnx:somebody/else")
    assert resolve(ModelSpec("siglip2-base"), other).kind == "hf"


def test_sizes_of_one_repository_are_models_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    installed(monkeypatch, "onnx")
    small, large = (resolve(ModelSpec(f"mobileclip2-s{n}")) for n in (0, 2))
    assert (small.model, small.options["size"]) == (large.model, "s0")
    assert resolve(ModelSpec("mobileclip2-s2"), small) == large
    assert languages_of(f"{small}&tiles=none") == "English"
    assert languages_of(f"onnx:{small.model}?size=l14") == ""
    tiled = ModelSpec.parse("mobileclip2-s0?tiles=none")
    assert str(resolve(tiled)) == f"onnx:{small.model}?size=s0&tiles=none"


def test_other_specs_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    for text in ("builtin", "hf:org/name", "siglip2-base:odd"):
        assert str(resolve(ModelSpec.parse(text))) == text


def test_a_name_of_nothing_says_what_is_near() -> None:
    with pytest.raises(NotFoundError) as raised:
        resolve(ModelSpec("siglip3-base"))
    assert (raised.value.code, raised.value.hint) == (
        "unknown_encoder", "did you mean 'siglip-base'?",
    )  # fmt: skip
    with pytest.raises(NotFoundError, match="'qqq'") as raised:
        resolve(ModelSpec("qqq"))
    assert "builtin" in raised.value.hint
    assert "siglip2-so400m" in raised.value.hint


def test_a_name_that_was_not_fetched_says_what_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from relook.encoders import hub

    def absent(*_: object, **__: object) -> None:
        raise OSError("nothing here")

    installed(monkeypatch, "onnx")
    monkeypatch.setattr(
        hub, "_client", lambda _: type("Client", (), {"snapshot_download": staticmethod(absent)})
    )
    with pytest.raises(ModelError) as raised:
        make_encoder("siglip2-base")
    told = "relook model fetch onnx:onnx-community/siglip2-base-patch16-224-ONNX"
    assert raised.value.hint == f"fetch it: {told}"


@pytest.mark.parametrize(
    ("spec", "languages"),
    [
        ("builtin", "English"),
        ("hf:google/siglip2-base-patch16-224?revision=abc", "109 languages"),
        ("onnx:onnx-community/siglip2-base-patch16-224-ONNX", "109 languages"),
        ("hf:openai/clip-vit-base-patch32", "English"),
        ("onnx:google/siglip2-base-patch16-224", ""),
        ("hf:/some/folder", ""),
        ("my own, really", ""),
    ],
)
def test_languages_are_told_where_they_are_known(spec: str, languages: str) -> None:
    assert languages_of(spec) == languages


def test_the_list(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    installed(monkeypatch, "onnx")
    assert main(["model", "list", "--json"]) == 0
    models = {model["name"]: model for model in json.loads(capsys.readouterr().out)["models"]}
    assert list(models) == ["builtin", *KNOWN]
    assert models["builtin"]["here"] == "builtin"
    siglip = models["siglip2-base"]
    assert (siglip["languages"], siglip["here"]) == ("109 languages", "")
    assert siglip["encoder"].startswith("onnx:")
    mobile = models["mobileclip2-s2"]
    assert mobile["encoder"] == "onnx:plhery/mobileclip2-onnx?size=s2"
    assert mobile["source"].endswith("mobileclip2_s2.jsonl")
    assert main(["model", "list"]) == 0
    told = capsys.readouterr().out
    assert all(f" {name} " in told for name in KNOWN)  # none is cut at 80 columns
