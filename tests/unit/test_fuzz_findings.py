"""What fuzzing found, once each: it was another exception than one made on purpose."""

import json
from pathlib import Path

import pytest

from relook.compat.visualref import read_old, translate
from relook.core.errors import InputError, LibraryFormatError, MetadataError
from relook.core.secret import Secret
from relook.library.image_words import Sidecars
from relook.library.manifest import Manifest
from relook.providers.base import Lookup, Outcome, ProviderResult
from relook.providers.google_vision import GoogleVisionProvider
from relook.providers.replay import ReplayProvider
from relook.testing.providers import sample_subject
from relook.testing.web_server import Reply, serving

DEEP = "[" * 100_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_sidecar_of_great_depth(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(DEEP)
    with pytest.raises(MetadataError, match="recursion"):
        Sidecars([tmp_path / name])


@pytest.mark.parametrize("version", [DEEP, "1e999", '{"format_version": Infinity}'])
def test_a_manifest_of_great_depth_or_version(tmp_path: Path, version: str) -> None:
    text = version if version[0] in "[{" else f'{{"format_version": {version}}}'
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(LibraryFormatError) as raised:
        Manifest.read(tmp_path)
    assert raised.value.code == "bad_manifest"


def test_a_recording_of_great_depth(tmp_path: Path) -> None:
    (tmp_path / "replay.jsonl").write_text(DEEP)
    with pytest.raises(InputError, match="line 1") as raised:
        ReplayProvider(tmp_path / "replay.jsonl")
    assert raised.value.code == "bad_recording"


@pytest.mark.parametrize("field", ["took_s", "cost_usd", "retry_after_s", "cached_s"])
@pytest.mark.parametrize("value", [10**400, "soon", [1]])
def test_a_recorded_result_whose_numbers_are_none(field: str, value: object) -> None:
    values = {"provider": "p", "outcome": "nothing", field: value}
    with pytest.raises(InputError) as raised:
        ProviderResult.from_dict(json.loads(json.dumps(values)))
    assert raised.value.code == "bad_result"


@pytest.mark.parametrize("code", [[], {}, "3", None])
def test_an_error_of_google_whose_code_is_no_number(code: object) -> None:
    body = {"responses": [{"error": {"code": code, "message": "no"}}]}
    with serving() as site:
        site.replies["/v1/images:annotate"] = Reply(body)
        provider = GoogleVisionProvider(Secret("key-key-key", "here"), site.address)
        result = provider.find(sample_subject(), Lookup())
        provider.close()
    assert (result.outcome, result.message) == (Outcome.FAILED, "no")


@pytest.mark.parametrize("text", ["9" * 5000, "a: 2001-99-99", "? [a]\n: b", "{" * 5000])
def test_yaml_that_its_reader_trips_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "old.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        read_old(tmp_path / "old.yaml")
    assert raised.value.code == "bad_config"


@pytest.mark.parametrize("count", ["\u00b2", "\u0663", "9" * 5000, "0", "-1"])
def test_a_count_that_is_no_number(count: str) -> None:
    with pytest.raises(InputError) as raised:
        translate({"TOP_K": count})
    assert raised.value.code == "bad_config"
