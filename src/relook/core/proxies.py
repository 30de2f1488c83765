"""Proxies of the environment that cannot be used, told in words. Layer: core.

HTTP clients read ALL_PROXY and its kin when they are made, and fail there with errors of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from relook.core.errors import InputError


@contextmanager
def proxies_understood() -> Iterator[None]:
    """Around the making of an HTTP client.

    Raises:
        InputError: `bad_proxy` when a proxy of the environment is of a kind that cannot be used.
    """
    try:
        yield
    except ImportError as error:
        if "socks" not in str(error).lower():
            raise
        raise InputError(
            "bad_proxy",
            "the environment names a SOCKS proxy (ALL_PROXY or its kin): that needs a package more",
            "pip install socksio, or unset the variable, or name the host in NO_PROXY",
        ) from error
    except ValueError as error:
        raise InputError(
            "bad_proxy",
            f"a proxy that the environment names cannot be used: {error}",
            "it looks like http://HOST:PORT; check HTTP_PROXY, HTTPS_PROXY and ALL_PROXY",
        ) from error
