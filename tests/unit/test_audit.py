"""The audit of what Relook is made of: licences are read as they are, and the wrong ones fail."""

import email.message
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "release" / "audit.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


audit = _load()


def facts(*pairs: tuple[str, str]) -> email.message.Message:
    made = email.message.Message()
    for name, value in pairs:
        made[name] = value
    return made


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ([("License-Expression", "MIT OR Apache-2.0"), ("License", "x")], "MIT OR Apache-2.0"),
        ([("Classifier", "License :: OSI Approved :: MIT License")], "MIT"),
        ([("Classifier", "License :: OSI Approved :: BSD License"), ("License", "GPL")], "BSD"),
        ([("License", "Apache Software License 2.0")], "Apache-2.0"),
        ([("License", "GNU General Public License v3")], "GPL"),
        ([("License", "GNU Lesser General Public License")], "LGPL"),
        ([("License", "Affero GPL")], "AGPL"),
        ([("License", "NVIDIA Proprietary Software")], "Proprietary"),
        ([("License", "do what you like")], ""),
        ([], ""),
    ],
)
def test_a_licence_is_read_from_what_a_package_says(
    metadata: list[tuple[str, str]], licence: str
) -> None:
    assert audit.licence_of(facts(*metadata)) == licence


@pytest.mark.parametrize(
    ("licence", "objection"),
    [
        ("MIT", ""),
        ("MIT OR GPL-3.0-only", ""),
        ("(MIT OR GPL-2.0) AND BSD-3-Clause", ""),
        ("Apache-2.0 WITH LLVM-exception", ""),
        ("MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only is not on the list"),
        ("MPL-2.0", "MPL-2.0 is not on the list"),
        ("LicenseRef-mine", "LicenseRef-mine is not on the list"),
        ("(MIT", "(MIT is not on the list"),
        ("", "no licence is named"),
    ],
)
def test_only_licences_of_the_list_are_accepted(licence: str, objection: str) -> None:
    assert audit.Part("a", "1", licence, (), "").objection() == objection


def test_an_exception_holds_for_one_package() -> None:
    assert audit.Part("certifi", "1", "MPL-2.0", (), "").objection() == ""
    assert audit.Part("certifi", "1", "GPL", (), "").objection() != ""


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("nvidia-cublas", "LicenseRef-NVIDIA-Proprietary"),
        ("nvidia-cufft", "Proprietary"),
        ("cuda-toolkit", ""),
        ("cuda-bindings", "Apache-2.0"),
    ],
)
def test_what_torch_brings_for_gpus_is_accepted_by_its_name(name: str, licence: str) -> None:
    """An ordinary Linux machine gets it with torch, with a GPU or without."""
    assert audit.Part(name, "1", licence, (), "").objection() == ""
    assert audit.Part(name, "1", "GPL-3.0-only", (), "").objection() != ""
    if licence != "Apache-2.0":
        assert audit.Part("another", "1", licence, (), "").objection() != ""


def test_the_bill_names_every_part_once_and_only_what_is_there() -> None:
    parts, missing = audit.collect("relook")
    names = [one.name for one in parts]
    assert names[0] == "relook"
    assert {"numpy", "pillow", "fastapi"} <= set(names)
    assert len(set(names)) == len(names)
    assert not {"ruff", "pytest", *missing} & set(names)
    bill = audit.bill(parts)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.6", 1)
    assert bill == json.loads(json.dumps(audit.bill(parts)))
    refs = {one["bom-ref"] for one in bill["components"]} | {
        bill["metadata"]["component"]["bom-ref"]
    }
    assert {one["ref"] for one in bill["dependencies"]} == refs
    assert {ref for one in bill["dependencies"] for ref in one["dependsOn"]} <= refs
    assert all(one["purl"].startswith("pkg:pypi/") for one in bill["components"])


def test_what_pip_audit_skipped_is_not_called_safe(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"name": "a", "skip_reason": "not found"},
        {"name": "b", "version": "1", "vulns": [{"id": "CVE-1"}]},
        {"name": "c", "version": "2", "vulns": []},
    ]
    assert audit.holes_of(rows) == ["b 1: CVE-1"]
    told = capsys.readouterr().out
    assert "NOT CHECKED of 1 packages (a)" in told
    assert "2 packages looked up, 1 holes known" in told


def test_what_is_installed_here_is_accepted() -> None:
    parts, _ = audit.collect("relook")
    assert [f"{one.name}: {one.objection()}" for one in parts[1:] if one.objection()] == []
