"""The local chat service of `relook.testing`, under the name that tests use."""

from relook.testing.chat_server import *  # noqa: F403
