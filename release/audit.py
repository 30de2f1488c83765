"""What Relook is made of: a bill of materials, licences, known holes. make audit.

Walks from Relook's own requirements (its base and every extra for people, not `dev`) through
what is installed here. Writes dist/sbom.cdx.json (CycloneDX 1.6) and dist/licences.txt, and
fails (exit code 1) when a licence is unknown or not on the list below, or when pip-audit knows
a hole. What is not installed here, and an advisory service that cannot be reached, are said
plainly: they were not checked.
"""

import argparse
import importlib.metadata as md
import importlib.util
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
NOT_FOR_PEOPLE = ("dev",)
ALLOWED = frozenset(
    {
        "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
        "CNRI-Python", "HPND", "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Python-2.0",
        "Unlicense", "Zlib", "ZPL-2.1",
    }
)  # fmt: skip
# Licences that ask for more, each for one package and with its reason. Nothing of these
# packages is copied into Relook; people install them.
EXCEPTIONS = {
    "chardet": ("LGPL", "of readability-lxml, in the extra `ask`; imported unchanged"),
    "certifi": ("MPL-2.0", "certificates; file-level copyleft, used unchanged"),
    "tqdm": ("MPL-2.0", "progress bars of others; file-level copyleft, used unchanged"),
    "orjson": ("MPL-2.0", "JSON of others; file-level copyleft, used unchanged"),
    "pathspec": ("MPL-2.0", "reads .relookignore; file-level copyleft, used unchanged"),
    "pi-heif": ("LGPL", "reads HEIC, in the extra `formats`; its wheel has libheif and libde265"),
}
# Packages whose names begin alike, with every licence that they name (none: empty), and why.
_CUDA = "of torch, in the extras that use it, on Linux with a GPU or without; a CPU build has none"
FAMILIES = {
    "nvidia-": ({"Proprietary", "LicenseRef-NVIDIA-Proprietary"}, _CUDA),
    "cuda-": ({"", "Proprietary", "LicenseRef-NVIDIA-Proprietary"}, _CUDA),
}
# What packages call their licence where they do not write an SPDX expression.
SPELLINGS = (
    (r"mozilla public license|\bmpl[- ]?(v?2)", "MPL-2.0"),
    (r"\bagpl|affero", "AGPL"),
    (r"\blgpl|lesser general", "LGPL"),
    (r"\bgpl|general public", "GPL"),
    (r"apache", "Apache-2.0"),
    (r"\bmit[- ]cmu\b|\bhpnd\b|historical permission", "HPND"),
    (r"\bmit\b", "MIT"),
    (r"\bisc\b|iscl", "ISC"),
    (r"bsd[- ]2|2-clause|simplified bsd", "BSD-2-Clause"),
    (r"bsd[- ]3|3-clause|new bsd|modified bsd", "BSD-3-Clause"),
    (r"\bbsd\b", "BSD"),
    (r"python software foundation|\bpsf", "PSF-2.0"),
    (r"zope|\bzpl", "ZPL-2.1"),
    (r"unlicense|public domain", "Unlicense"),
    (r"\bzlib\b", "Zlib"),
    (r"nvidia|proprietary", "Proprietary"),
)


@dataclass(frozen=True, slots=True)
class Part:
    """One package that is installed here."""

    name: str
    version: str
    licence: str
    needs: tuple[str, ...]
    summary: str

    @property
    def ref(self) -> str:
        """How the bill of materials names it."""
        return f"pkg:pypi/{self.name}@{self.version}"

    def objection(self) -> str:
        """Why its licence is not accepted; empty when it is."""
        excepted = EXCEPTIONS.get(self.name)
        allowed = ALLOWED | ({excepted[0]} if excepted else set())
        for beginning, (licences, _) in FAMILIES.items():
            if self.name.startswith(beginning):
                allowed |= licences
        if not self.licence and "" not in allowed:
            return "no licence is named"
        return "" if _accepts(self.licence, allowed) else f"{self.licence} is not on the list"


def main() -> int:
    """Writes the files; 1 when something is not accepted."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--out", type=Path, default=ROOT / "dist")
    made.add_argument("--skip-advisories", action="store_true", help="do not run pip-audit")
    options = made.parse_args()
    parts, missing = collect("relook")
    options.out.mkdir(parents=True, exist_ok=True)
    bom = json.dumps(bill(parts), indent=1, sort_keys=True) + "\n"
    (options.out / "sbom.cdx.json").write_text(bom, "utf-8")
    lines = [f"{one.name} {one.version}: {one.licence or 'UNKNOWN'}" for one in parts[1:]]
    (options.out / "licences.txt").write_text("\n".join(lines) + "\n", "utf-8")
    print(f"{len(parts) - 1} packages; {options.out}/sbom.cdx.json, licences.txt")
    if missing:
        print(f"not installed here, so not checked: {', '.join(missing)}")
    wrong = [f"{one.name}: {why}" for one in parts[1:] if (why := one.objection())]
    wrong += [] if options.skip_advisories else advisories(parts, options.out)
    for line in wrong:
        print(f"NOT ACCEPTED: {line}")
    return 1 if wrong else 0


def collect(root: str) -> tuple[list[Part], list[str]]:
    """The root and everything that it needs here, by name; and what is not installed."""
    extras = set(md.metadata(root).get_all("Provides-Extra") or ()) - set(NOT_FOR_PEOPLE)
    found: dict[str, Part] = {}
    missing: set[str] = set()
    todo = [(root, frozenset(extras))]
    seen = set()
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            needs = [(canonicalize_name(one.name), one.extras) for one in _needs(name, wanted)]
            before = found.get(name)
            both = {*(before.needs if before else ()), *(need for need, _ in needs)}
            facts = md.metadata(name)
        except md.PackageNotFoundError:
            missing.add(name)
            continue
        found[name] = Part(
            name, md.version(name), licence_of(facts), tuple(sorted(both)),
            (facts.get("Summary") or "")[:200],
        )  # fmt: skip
        todo += [(need, frozenset(more)) for need, more in needs]
    own = found.pop(root)
    return [own, *(found[name] for name in sorted(found))], sorted(missing)


def _needs(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    for text in md.requires(name) or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in (*extras, "")):
            yield one


def licence_of(facts: Any) -> str:
    """The licence of a package: its SPDX expression, or what its metadata's words mean."""
    if expression := facts.get("License-Expression"):
        return str(expression)
    words = [one.rpartition("::")[2] for one in facts.get_all("Classifier") or ()
             if one.startswith("License ::")]  # fmt: skip
    named = {_spelled(one) for one in words} - {""}
    named = named or {_spelled((facts.get("License") or "").strip()[:400])} - {""}
    return " AND ".join(sorted(named))


def _spelled(words: str) -> str:
    for pattern, name in SPELLINGS:
        if re.search(pattern, words, re.I):
            return name
    return ""


def _accepts(expression: str, allowed: frozenset[str] | set[str]) -> bool:
    """Whether an SPDX expression can be met: every AND, and one side of every OR."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression)
    names = [t if t in ("(", ")") else t.upper() if t.upper() in ("AND", "OR") else t
             for t in tokens]  # fmt: skip
    return _any(names, allowed) and not names


def _any(tokens: list[str], allowed: frozenset[str] | set[str]) -> bool:
    good = _all(tokens, allowed)
    while tokens and tokens[0] == "OR":
        tokens.pop(0)
        good = _all(tokens, allowed) or good
    return good


def _all(tokens: list[str], allowed: frozenset[str] | set[str]) -> bool:
    good = _one(tokens, allowed)
    while tokens and tokens[0] == "AND":
        tokens.pop(0)
        good = _one(tokens, allowed) and good
    return good


def _one(tokens: list[str], allowed: frozenset[str] | set[str]) -> bool:
    token = tokens.pop(0) if tokens else ""
    if token == "(":
        good = _any(tokens, allowed)
        return bool(tokens) and tokens.pop(0) == ")" and good
    if tokens and tokens[0] == "WITH":  # an exception only gives more
        del tokens[:2]
    return token in allowed


def bill(parts: list[Part]) -> dict[str, Any]:
    """The bill of materials. The same parts give the same bill, to the byte."""
    refs = {one.name: one.ref for one in parts}
    identity = "\n".join(sorted(refs.values()))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": _component(parts[0], "application")},
        "components": [_component(one, "library") for one in parts[1:]],
        "dependencies": [
            {"ref": one.ref, "dependsOn": sorted({refs[n] for n in one.needs if n in refs})}
            for one in parts
        ],
    }


def _component(one: Part, kind: str) -> dict[str, Any]:
    licences = [{"expression": one.licence}] if one.licence else []
    return {"type": kind, "bom-ref": one.ref, "name": one.name, "version": one.version,
            "purl": one.ref, "licenses": licences, "description": one.summary}  # fmt: skip


def advisories(parts: list[Part], out: Path) -> list[str]:
    """Known holes by pip-audit; that it could not look is said, and is no finding."""
    if importlib.util.find_spec("pip_audit") is None:
        print("advisories NOT CHECKED: pip-audit is not installed (pip install pip-audit)")
        return []
    named = out / "audited.txt"
    named.write_text("".join(f"{one.name}=={one.version}\n" for one in parts[1:]), "utf-8")
    command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-f", "json"]
    command += ["--progress-spinner", "off", "--timeout", "10", "-r", str(named)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        told = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        print("advisories NOT CHECKED: pip-audit could not reach its advisory service")
        return []
    return holes_of(told["dependencies"])


def holes_of(rows: list[dict[str, Any]]) -> list[str]:
    """The holes that pip-audit knows; what it skipped counts as not checked, and is told."""
    skipped = [one["name"] for one in rows if "skip_reason" in one]
    n_looked_up = len(rows) - len(skipped)
    if skipped:
        some = ", ".join(skipped[:5]) + (" ..." if len(skipped) > 5 else "")
        print(f"advisories NOT CHECKED of {len(skipped)} packages ({some}): the advisory service"
              " cannot be reached, or does not know them")  # fmt: skip
    holes = [
        f"{one['name']} {one['version']}: {hole['id']}"
        for one in rows
        for hole in one.get("vulns", ())
    ]
    print(f"advisories: {n_looked_up} packages looked up, {len(holes)} holes known")
    return holes


if __name__ == "__main__":
    sys.exit(main())
