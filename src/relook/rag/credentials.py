"""Content credentials (C2PA) of a picture, verified on this machine alone. Layer: rag.

A signature that holds says who signed and that nothing changed since. It does not say that what is
claimed is true. Nothing is fetched: no manifest elsewhere, no list of revoked certificates.

Source: C2PA Technical Specification 2; the package `c2pa-python`.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relook.core.converter import JsonValue
from relook.core.plain_text import plain
from relook.providers.base import Subject

_OFFLINE = {
    "version": 1,
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_reading": True},
}
_TYPES = ("image/jpeg", "image/png", "image/webp", "image/gif", "image/tiff", "image/avif",
          "image/heic", "image/heif")  # fmt: skip
_MARK = b"c2pa"


@dataclass(frozen=True, slots=True)
class Credentials(JsonValue):
    """What the content credentials of a file say.

    Args:
        holds: Whether the signature holds and nothing changed since; None where it could not be
            verified.
        signer: Who signed, by the certificate; may be empty.
        made_with: The program that made the claim; may be empty.
        signed_at: When, by the claim; may be empty.
        problems: What the check found wrong.
    """

    holds: bool | None
    signer: str = ""
    made_with: str = ""
    signed_at: str = ""
    problems: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of them."""
        if self.holds is None:
            return (f"it has content credentials that were not verified: {self.problems[0]}",)
        if not self.holds:
            return (f"its content credentials do NOT hold: {', '.join(self.problems)}",)
        who = f" by {self.signer}" if self.signer else ""
        return (
            f"its content credentials hold: signed{who}, unchanged since. That the signature holds"
            " does not make the claim true",
        )


def credentials_of(subject: Subject) -> Credentials | None:
    """The content credentials of a picture's file; None where it has none.

    Where the package that verifies them is not installed, a file that has some says so.
    """
    if _MARK not in subject.data or subject.mime not in _TYPES:
        return None
    try:
        import c2pa
    except ImportError:
        return Credentials(None, problems=("install relook[c2pa] to verify them",))
    try:
        with (
            c2pa.Settings.from_dict(_OFFLINE) as settings,
            c2pa.Context(settings) as context,
            c2pa.Reader(subject.mime, io.BytesIO(subject.data), context=context) as reader,
        ):
            store: Mapping[str, Any] = json.loads(reader.json())
    except c2pa.C2paError as error:
        text = str(error)
        if "ManifestNotFound" in text or "no JUMBF" in text:
            return None
        return Credentials(False, problems=(plain(text, 200),))
    return _told(store)


def _told(store: Mapping[str, Any]) -> Credentials:
    manifest = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = manifest.get("signature_info") or {}
    generators = manifest.get("claim_generator_info") or []
    made_with = generators[0].get("name", "") if generators else ""
    results = (store.get("validation_results") or {}).get("activeManifest") or {}
    failures = results.get("failure") or store.get("validation_status") or []
    codes = dict.fromkeys(str(failure.get("code", "unknown")) for failure in failures)
    # A certificate that nobody on a list vouches for is told, and no sign of a change.
    untrusted = [code for code in codes if code.startswith("signingCredential.untrusted")]
    broken = tuple(code for code in codes if code not in untrusted)
    signer = plain(str(signature.get("common_name") or signature.get("issuer") or ""), 120)
    if untrusted and signer:
        signer += " (a certificate that no list of trust names)"
    return Credentials(
        not broken, signer, plain(str(made_with or manifest.get("claim_generator") or ""), 120),
        plain(str(signature.get("time") or ""), 40), broken,
    )  # fmt: skip
