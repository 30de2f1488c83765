"""Pictures to ask providers about."""

from relook.core.secret import Secret
from relook.providers.base import Subject
from relook.testing.web_server import picture_bytes

KEY = "k3y/with+odd chars"
SECRET = Secret(KEY, "a test")


def local_subject(seed: int = 1) -> Subject:
    """A picture of this machine."""
    return Subject.of(picture_bytes(seed), name=f"{seed}.png")


def public_subject(seed: int = 1) -> Subject:
    """A picture with a public address."""
    return Subject.of(picture_bytes(seed), url=f"https://pictures.example.org/{seed}.png")
