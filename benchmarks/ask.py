"""What evidence costs beside the time of providers and models.

Measures: evidence from a person's own library (the picture decoded and encoded, the index
asked, records read, merged) and its parts; an answer from the cache, with a screenshot and 40
matches in it; our own work when five providers answer at once with 100 matches each (threads,
cleaning, merging); the text and the contact sheet made of it; reading a 390 KB answer of a
web service.
Baseline in the same run: the image tower and the index alone, which no evidence can undercut.
Read it: the library is synthetic (see synthetic.py), the pictures asked about are real. On a
busy machine compare the CPU times.
"""

import argparse
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from figures import Figure, parser, report, say, times_ms
from photographs import variants
from synthetic import build_index, make_library, real_tiles

from relook import Library
from relook.app.finder import library_finder
from relook.core.images import decode
from relook.core.secret import Secret
from relook.core.settings import EvidenceSettings, GatherSettings
from relook.encoders.base import encode_images
from relook.encoders.builtin import BuiltinEncoder
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.google_vision import GoogleVisionProvider
from relook.providers.library import LibraryProvider
from relook.providers.match import Match, MatchKind
from relook.rag.evidence import evidence_text
from relook.rag.fetching import small_picture
from relook.rag.lookup import Gatherer
from relook.rag.prompt import contact_sheet
from relook.rag.provider_call import ResultCache
from relook.testing.web_server import Reply, serving

LIMIT = GatherSettings(limit=10)


class Instant:
    """A provider that answers at once."""

    remote, takes_files, cost_usd, variant = True, True, 0.0, ""

    def __init__(self, name: str, result: ProviderResult) -> None:
        self.name, self.result = name, result

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """The same every time."""
        return self.result

    def close(self) -> None:
        """Nothing."""


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    encoder = BuiltinEncoder()
    n_images = options.n_images or (100_000 if options.full else 20_000)
    subjects = pictures(40)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="relook-ask-") as folder:
        say("encoding real pictures to draw from")
        tiles = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
        say(f"writing {n_images:,} images")
        make_library(Path(folder, "library"), encoder, tiles, n_images)
        with Library(Path(folder, "library"), encoder=encoder) as library:
            say("building the index")
            build_index(library.files, encoder)
            say("asking")
            figures += of_library(library, subjects)
        figures += of_cache(Path(folder, "cache"), subjects[0])
    figures += of_merging(subjects[0])
    figures += of_service(subjects[0])
    report("ask", [Figure("images in the library", n_images), *figures], options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, help="20,000; with --full 100,000")
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    return made.parse_args()


def pictures(n: int) -> list[Subject]:
    """Real pictures as JPEG files of 500 pixels."""
    subjects = []
    for image in variants(n, 500, seed=23):
        out = io.BytesIO()
        image.save(out, "JPEG", quality=90)
        subjects.append(Subject.of(out.getvalue()))
    return subjects


def of_library(library: Library, subjects: list[Subject]) -> list[Figure]:
    """Evidence from the library, whole and in parts."""
    engine = library.engine
    provider = LibraryProvider(library_finder(engine))
    gatherer = Gatherer({"library": provider}, settings=LIMIT)
    whole = each([lambda one=one: gatherer.gather(one) for one in subjects])
    used = time.process_time()
    each([lambda one=one: gatherer.gather(one) for one in subjects])
    cpu_ms = (time.process_time() - used) / (len(subjects) + 1) * 1e3
    images = [decode(one.data, engine.encoder.input_px).image for one in subjects]
    encoding = each([lambda one=one: encode_images(engine.encoder, [one]) for one in images])
    vectors = [encode_images(engine.encoder, [one])[0] for one in images]
    ranking = each([lambda one=one: engine.rank(one, 10) for one in vectors])
    name = "library evidence"
    return [
        Figure(f"{name} p50", float(np.median(whole)), "ms", at_most=50),
        Figure(f"{name} p95", float(np.quantile(whole, 0.95)), "ms"),
        Figure("  CPU time a question", cpu_ms, "ms", note="all threads"),
        Figure("  of it: encoding the picture p50", float(np.median(encoding)), "ms"),
        Figure("  of it: index and images p50", float(np.median(ranking)), "ms"),
    ]


def of_cache(folder: Path, subject: Subject) -> list[Figure]:
    """A recorded answer, with a screenshot of 1.5 MB."""
    matches = tuple(made_match("web", n) for n in range(40))
    shot = np.random.default_rng(1).bytes(1_500_000)
    result = ProviderResult("web", Outcome.FOUND, matches, screenshot=shot)
    gatherer = Gatherer(
        {"web": Instant("web", result)},
        settings=replace(LIMIT, limit=40),
        cache=ResultCache(folder),
    )
    public = replace(subject, url="https://pictures.example.org/1.jpg")
    gatherer.gather(public)
    taken = times_ms(lambda: gatherer.gather(public), 30)
    assert gatherer.gather(public).results[0].cached_s is not None
    used = cpu_ms(lambda: gatherer.gather(public))
    return [
        Figure("evidence from the cache p50", float(np.median(taken)), "ms", at_most=50),
        Figure("  CPU time, least of ten", used, "ms"),
    ]


def of_merging(subject: Subject) -> list[Figure]:
    """Our own work beside five providers that answer at once."""
    names = [f"p{n}" for n in range(5)]
    results = {
        name: ProviderResult(name, Outcome.FOUND, tuple(made_match(name, n) for n in range(100)))
        for name in names
    }
    gatherer = Gatherer(
        {name: Instant(name, result) for name, result in results.items()},
        settings=replace(LIMIT, limit=100),
        evidence=EvidenceSettings(items=8),
    )
    public = replace(subject, url="https://pictures.example.org/1.jpg")
    evidence = gatherer.gather(public)
    small = small_picture(subject.data).data
    items = tuple(replace(one, match=replace(one.match, thumbnail=small)) for one in evidence.items)
    drawn = replace(evidence, items=items)
    gathering = times_ms(lambda: gatherer.gather(public), 20)
    telling = times_ms(lambda: evidence_text(evidence), 50)
    drawing = times_ms(lambda: contact_sheet(drawn, subject.data), 20)
    total = sum(float(np.median(one)) for one in (gathering, telling, drawing))
    works = (
        lambda: gatherer.gather(public),
        lambda: evidence_text(evidence),
        lambda: contact_sheet(drawn, subject.data),
    )
    used = sum(cpu_ms(work) for work in works)
    return [
        Figure("5 providers x 100 matches, ours p50", float(np.median(gathering)), "ms"),
        Figure("  8 items as text p50", float(np.median(telling)), "ms"),
        Figure("  8 items as a contact sheet p50", float(np.median(drawing)), "ms"),
        Figure("  all of it", total, "ms", at_most=100),
        Figure("  CPU time of it, least of ten each", used, "ms"),
    ]


def of_service(subject: Subject) -> list[Figure]:
    """A web service's large answer, from asking to matches; its server is on this machine."""
    rows = [
        {"url": f"https://x.example/{n}", "pageTitle": "t" * 850, "fullMatchingImages": [{}]}
        for n in range(420)
    ]
    answer = {"responses": [{"webDetection": {"pagesWithMatchingImages": rows}}]}
    public = replace(subject, url="https://pictures.example.org/1.jpg")
    with serving() as site:
        site.replies["/v1/images:annotate"] = Reply(answer)
        provider = GoogleVisionProvider(Secret("key"), site.address)
        taken = times_ms(lambda: provider.find(public, Lookup(limit=10)), 20)
        provider.close()
    size = len(json.dumps(answer)) / 1000
    note = f"{size:.0f} KB, with the server's own time"
    return [Figure("a large web answer p50", float(np.median(taken)), "ms", note=note)]


def made_match(name: str, n: int) -> Match:
    """One of many; every third one is of a page that another provider has too."""
    page = f"https://shared.example/{n}" if n % 3 == 0 else f"https://{name}.example/{n}"
    return Match(
        name,
        MatchKind.PAGE if n % 2 else MatchKind.SIMILAR,
        f"Title number {n} of <b>{name}</b> &amp; others, as long as titles are",
        page_url=page,
        thumbnail_url=f"https://tn.example/{n}",
        text="a snippet of the page " * 8,
        rank=n,
        picture_hash=(n * 0x9E3779B97F4A7C15) % 2**63,
    )


def cpu_ms(run: Callable[[], object]) -> float:
    """Least processor time of ten calls, all threads, in milliseconds."""
    taken = []
    for _ in range(10):
        used = time.process_time()
        run()
        taken.append((time.process_time() - used) * 1e3)
    return min(taken)


def each(runs: list[Callable[[], object]]) -> np.ndarray:
    """Milliseconds of each run [n], after one that does not count."""
    runs[0]()
    return np.concatenate([times_ms(run, 1, warm=0) for run in runs])


if __name__ == "__main__":
    main()
