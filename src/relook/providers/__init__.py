"""Providers: where else a picture is, and what it shows. Layer: providers.

One adapter a file; `PROVIDERS` names them, each class opens itself (`relook.providers.base`), and
`relook.testing` has the checks that each passes.
"""

from relook.core.registry import Adapter, Registry
from relook.providers.base import (
    Lookup,
    Outcome,
    Provider,
    ProviderResult,
    ProviderSettings,
    Subject,
    is_remote,
)
from relook.providers.match import Match, MatchKind, Sent

__all__ = [
    "DEFAULT",
    "PROVIDERS",
    "Lookup",
    "Match",
    "MatchKind",
    "Outcome",
    "Provider",
    "ProviderResult",
    "ProviderSettings",
    "Sent",
    "Subject",
    "is_remote",
]

DEFAULT = "library"
PROVIDERS = Registry(
    "provider",
    {
        DEFAULT: Adapter(
            "relook.providers.library:LibraryProvider",
            "your own library: nearest pictures with their titles and captions; nothing is sent",
        ),
        "google-vision": Adapter(
            "relook.providers.google_vision:GoogleVisionProvider",
            "Cloud Vision web detection; sends the picture or its address, needs a key",
            "ask",
        ),
        "serpapi": Adapter(
            "relook.providers.serpapi:SerpApiProvider",
            "Google Lens through SerpApi: look-alikes; sends the picture's address, needs a key",
            "ask",
        ),
        "serpapi-exact": Adapter(
            "relook.providers.serpapi:LensExactProvider",
            "Google Lens through SerpApi: pages with the same picture; as serpapi",
            "ask",
        ),
        "serpapi-bing": Adapter(
            "relook.providers.serpapi:BingProvider", "Bing through SerpApi; as serpapi", "ask"
        ),
        "serpapi-yandex": Adapter(
            "relook.providers.serpapi:YandexProvider", "Yandex through SerpApi; as serpapi", "ask"
        ),
        "searxng": Adapter(
            "relook.providers.searxng:SearxngProvider",
            "TinEye through a SearXNG of your own; sends the picture's address",
            "ask",
        ),
        "lens-browser": Adapter(
            "relook.providers.lens_browser:LensBrowserProvider",
            "Google Lens in a real browser; sends the picture or its address, keeps a screenshot",
            "browser",
        ),
        "replay": Adapter(
            "relook.providers.replay:ReplayProvider",
            "recorded answers from a JSON file; nothing is sent",
        ),
        "saved": Adapter(
            "relook.providers.saved:SavedProvider",
            "screenshots that somebody saved, by the picture's name; nothing is sent",
        ),
    },
)
