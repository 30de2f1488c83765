"""An answer as one HTML file that stands by itself. Layer: rag. It reads no file and asks nobody.

The page is made of the answer's JSON alone, which is inside it: `read_report` takes it out again,
and the same JSON makes the same page. Strangers wrote titles and pages, so everything is escaped,
only http(s) addresses are links, and the page may run no script and load nothing.
"""

import base64
import hashlib
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from relook.core.errors import ImageError, InputError, counted
from relook.core.json_writer import to_json
from relook.core.picture import reencoded
from relook.core.picture_paths import printable
from relook.core.progress import duration
from relook.core.vectors import Floats
from relook.providers.base import Subject
from relook.rag.answer import Answer
from relook.rag.own_evidence import LABELS

_SHOWN_PX = 640
_QUALITY = 90
_BRIGHT = 99.5  # percentile of a map that is drawn white
_LEAST = 2.0  # grey levels: a map that holds less is drawn dark, not blown up
_JSON_ID = "relook-answer"
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ccc}
img{max-width:100%;height:auto}table{border-collapse:collapse;width:100%}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0}
th,td{border-bottom:1px solid #ddd;overflow-wrap:anywhere}th{font-weight:600;white-space:nowrap}
.struck{opacity:.6;text-decoration:line-through}
.warn{border-left:4px solid #b00020;padding-left:.7rem}
pre{white-space:pre-wrap;background:#f4f4f4;padding:.8rem;overflow-wrap:anywhere}
.item{display:flex;gap:1rem;margin:1rem 0}
.item>figure{margin:0;width:160px;flex:none;align-self:start;position:relative}
.item>figure img{display:block;width:100%}.item>div{flex:1;min-width:0}
@media(max-width:40rem){.item{flex-direction:column}.item>figure{width:100%;max-width:320px}}
.item svg{position:absolute;inset:0;width:100%;height:100%}
.item polygon{fill:none;stroke:#d6006c;stroke-width:3;vector-effect:non-scaling-stroke}
.maps{display:flex;flex-wrap:wrap;gap:1rem}.maps figure{margin:0;flex:1 1 280px}
@media print{body{margin:0}.item{break-inside:avoid}}
"""

_MAPS = {
    "error_level": "Error levels: what changes when it is saved once more as a JPEG",
    "noise": "Noise: what a smoothed copy does not have",
}
_NO_FINDING = (
    "To look at, not a finding: edges, fine patterns, words and places that were saved more"
    " often are bright in pictures that nobody changed, and a change may show nowhere. Relook"
    " draws no conclusion from them, and no model was shown them."
)


def report_values(answer: Mapping[str, Any], subject: Subject, made_at: str) -> dict[str, Any]:
    """Everything that a report is made of, as JSON values.

    Args:
        answer: As `Answer.as_dict(pictures=True)` gives it.
        subject: The picture; the report shows it reduced and without its metadata.
        made_at: When, as ISO 8601 with its zone.
    """
    small = reencoded(subject.image(_SHOWN_PX), _SHOWN_PX)
    maps = pixel_maps(subject)
    drawn = {name: base64.b64encode(getattr(maps, name)).decode("ascii") for name in _MAPS if maps}
    return {
        "relook_report": 1,
        "made_at": made_at,
        "sha256": hashlib.sha256(subject.data).hexdigest(),
        "picture": base64.b64encode(small).decode("ascii"),
        "maps": drawn,
        "answer": dict(answer),
    }


def report_now(answer: Answer, subject: Subject) -> str:
    """The report of an answer that was just given."""
    made_at = datetime.now().astimezone().isoformat(timespec="seconds")
    values = to_json(answer, pictures=True, text=printable)
    return report_html(report_values(values, subject, made_at))


def report_html(values: Mapping[str, Any]) -> str:
    """The report of some values, always the same for the same ones.

    Args:
        values: As `report_values` gives them.

    Raises:
        InputError: `bad_report` when they are something else.
    """
    if values.get("relook_report") != 1 or not isinstance(values.get("answer"), dict):
        raise InputError(
            "bad_report", "this is not what a report is made of", "give a report of this version"
        )
    answer, evidence = values["answer"], values["answer"].get("evidence") or {}
    body = [
        _head(values, answer, evidence),
        _answer(answer),
        _own(evidence.get("own") or {}),
        _maps(values.get("maps") or {}),
        _asked(answer, evidence),
        _items(evidence),
        _unresolved(answer, evidence),
        _prompt(answer),
    ]
    stored = json.dumps(values, ensure_ascii=True).replace("<", "\\u003c")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Report: {_text(answer.get('question') or 'a picture')}</title>"
        f"<style>{_STYLE}</style></head><body>\n"
        + "\n".join(part for part in body if part)
        + f'\n<script type="application/json" id="{_JSON_ID}">{stored}</script>\n</body></html>\n'
    )


def read_report(page: str) -> dict[str, Any]:
    """The values that a report was made of.

    Raises:
        InputError: `bad_report` when the page is no report.
    """
    script = re.search(rf'<script type="application/json" id="{_JSON_ID}">(.*?)</script>', page)
    try:
        values = json.loads(script[1]) if script else None
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise InputError("bad_report", "there is no report in this page", "name another file")
    return values


def _head(values: Mapping[str, Any], answer: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    subject = evidence.get("subject") or {}
    rows = [
        ("Made", values.get("made_at")), ("Name", subject.get("name")),
        ("Address", subject.get("url")), ("Type", subject.get("mime")),
        ("Size", f"{subject.get('width_px', '?')} x {subject.get('height_px', '?')} pixels, "
                 f"{subject.get('n_bytes', '?')} bytes"),
        ("SHA-256", values.get("sha256")), ("BLAKE2b", subject.get("content_hash")),
        ("Picture hash", subject.get("picture_hash")),
    ]  # fmt: skip
    picture = (
        f'<img src="data:image/jpeg;base64,{_base64(values.get("picture"))}" alt="The picture">'
    )
    question = _text(answer.get("question") or "What does this picture show?")
    return f"<h1>{question}</h1>\n<p>{picture}</p>\n{_table(rows)}"


def _answer(answer: Mapping[str, Any]) -> str:
    model = answer.get("model") or "no model was asked"
    parts = [f"<h2>Answer</h2><p>By: {_text(model)}</p>", f"<pre>{_text(answer.get('text'))}</pre>"]
    without = answer.get("without") or {}
    if without.get("text"):
        parts.append(f"<h3>Without evidence</h3><pre>{_text(without['text'])}</pre>")
    if answer.get("thinking"):
        parts.append(f"<h3>What the model thought</h3><pre>{_text(answer['thinking'])}</pre>")
    return "\n".join(parts)


def _own(own: Mapping[str, Any]) -> str:
    facts = _named(own.get("facts") or {})
    notes = "".join(f'<p class="warn">{_text(note)}</p>' for note in own.get("notes") or ())
    if not facts and not notes:
        return "<h2>0. The picture's own file</h2><p>It says nothing of time, place or camera.</p>"
    return f"<h2>0. The picture's own file</h2>{_table(facts)}{notes}"


def _maps(maps: Mapping[str, Any]) -> str:
    figures = [
        f'<figure><img src="data:image/jpeg;base64,{_base64(maps[name])}" alt="{words}">'
        f"<figcaption>{words}</figcaption></figure>"
        for name, words in _MAPS.items()
        if maps.get(name)
    ]
    if not figures:
        return ""
    shown = "".join(figures)
    return f'<h2>Its pixels</h2><p>{_NO_FINDING}</p><div class="maps">{shown}</div>'


def _asked(answer: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    rows = [
        (result.get("provider"), _outcome(result), result.get("message"),
         _when(result, str(evidence.get("asked_at") or "")))
        for result in evidence.get("providers") or ()
    ]  # fmt: skip
    sent = [
        (s.get("host"), s.get("what"), f"{s.get('n_bytes')} bytes")
        for s in answer.get("sent") or ()
    ]
    left = _rows(("to", "what", "how much"), sent) if sent else "<p>Nothing left this machine.</p>"
    services = _rows(("service", "outcome", "message", "when"), rows) if rows else "<p>Nobody.</p>"
    return f"<h2>Who was asked</h2>{services}<h2>What was sent</h2>{left}"


def _outcome(result: Mapping[str, Any]) -> str:
    outcome = str(result.get("outcome")).replace("_", " ")
    n_matches = result.get("n_matches", 0)
    return f"{outcome}: {counted(n_matches, 'match', 'matches')}"


def _when(result: Mapping[str, Any], asked_at: str) -> str:
    if (cached_s := result.get("cached_s")) is not None:
        answered = f"answered {duration(cached_s)} before that"
        return f"{asked_at}; {answered}, from what was recorded" if asked_at else answered
    took = f"took {result.get('took_s', 0):.2f} s"
    return f"{asked_at}, {took}" if asked_at else took


def _named(facts: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Facts under names for people."""
    return [(LABELS.get(name, name.replace("_", " ")), value) for name, value in facts.items()]


def _items(evidence: Mapping[str, Any]) -> str:
    items = evidence.get("items") or ()
    names = [
        f"{name.get('name')} ({', '.join(map(str, name.get('numbers') or ()))})"
        for name in evidence.get("candidates") or ()
    ]
    listed = f"<p>Names in it: {_text('; '.join(names))}</p>" if names else ""
    return f"<h2>Evidence</h2>{listed}" + ("".join(map(_item, items)) or "<p>There is none.</p>")


def _item(item: Mapping[str, Any]) -> str:
    verified = item.get("verified") or {}
    state = "struck out" if item.get("struck") else "pinned" if item.get("pinned") else ""
    rows = [
        ("Kind", verified.get("words") or item.get("kind")), ("State", state),
        ("Page", _link(item.get("page_url"))), ("Picture", _link(item.get("image_url"))),
        ("Date", item.get("date")), ("Source", item.get("source")), ("Says", item.get("text")),
        ("Page's text", item.get("page_text")),
        ("Found by", ", ".join(item.get("providers") or ())),
        *_named(item.get("metadata") or {}),
    ]  # fmt: skip
    named = item.get("title") or (item.get("metadata") or {}).get("file") or "(no title)"
    title = f"[{item.get('number')}] {named}"
    struck = ' class="struck"' if item.get("struck") else ""
    return (
        f'<div class="item">{_figure(item, verified)}<div><h3{struck}>{_text(title)}</h3>'
        f"{_table(rows)}</div></div>"
    )


def _figure(item: Mapping[str, Any], verified: Mapping[str, Any]) -> str:
    if not item.get("thumbnail"):
        return ""
    corners = [(float(x), float(y)) for x, y in verified.get("outline") or ()]
    points = " ".join(f"{x:.4f},{y:.4f}" for x, y in corners)
    drawn = (
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" role="img" '
        f'aria-label="Where the two pictures match"><polygon points="{points}"/></svg>'
        if corners
        else ""
    )
    picture = f'<img src="data:image/jpeg;base64,{_base64(item["thumbnail"])}" alt="">'
    return f"<figure>{picture}{drawn}</figure>"


def _unresolved(answer: Mapping[str, Any], evidence: Mapping[str, Any]) -> str:
    lines = [*(answer.get("notes") or ()), *(evidence.get("notes") or ())]
    if answer.get("why"):
        lines.append(answer["why"])
    lines += [
        f"{result.get('provider')} said nothing of the picture ({result.get('outcome')})"
        for result in evidence.get("providers") or ()
        if result.get("outcome") not in ("found", "nothing")
    ]
    listed = "".join(f"<li>{_text(line)}</li>" for line in lines)
    return f"<h2>What is unresolved</h2><ul>{listed}</ul>" if listed else ""


def _prompt(answer: Mapping[str, Any]) -> str:
    prompt = answer.get("prompt") or {}
    if not prompt:
        return ""
    parts = [prompt.get("system") or ""]
    for part in prompt.get("parts") or ():
        named = f"(picture: {part.get('picture')}, {part.get('content_hash')})"
        parts.append(part.get("text") or named)
    return f"<h2>What the model was shown</h2><pre>{_text(chr(10).join(parts))}</pre>"


def _table(rows: Iterable[tuple[str, Any]]) -> str:
    cells = "".join(
        f"<tr><th>{_text(name)}</th><td>{value if _is_link(value) else _text(value)}</td></tr>"
        for name, value in rows
        if value not in (None, "")
    )
    return f"<table>{cells}</table>" if cells else ""


def _rows(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


class _Link(str):
    """Markup that this module made, not somebody's text."""


def _is_link(value: object) -> bool:
    return isinstance(value, _Link)


def _link(address: object) -> str:
    text = str(address or "")
    if not text or urlsplit(text).scheme not in ("http", "https"):
        return text
    return _Link(f'<a href="{_text(text)}" rel="noopener noreferrer">{_text(text)}</a>')


def _base64(value: object) -> str:
    return re.sub(r"[^A-Za-z0-9+/=]", "", str(value or ""))


def _text(value: object) -> str:
    return html.escape("" if value is None else str(value))


@dataclass(frozen=True, slots=True)
class PixelMaps:
    """Two maps of a picture's pixels as JPEGs of at most 640 px: the brighter, the more.

    Neither is a finding: both light up where nothing was changed, and stay dark where something
    was. So nothing here compares, counts or decides, and no model is shown them.

    Args:
        error_level: How much each place changes when the picture is saved once more as a JPEG.
        noise: How much each place differs from a smoothed copy.
    """

    error_level: bytes
    noise: bytes


def pixel_maps(subject: Subject) -> PixelMaps | None:
    """The maps of a picture, from its own pixels; None for one that cannot be decoded again."""
    try:
        image = subject.image(0)
    except ImageError:
        return None
    return PixelMaps(_drawn(_error_levels(image)), _drawn(_noise(image)))


def _error_levels(image: Image.Image) -> Image.Image:
    """Grey picture of the largest difference of a colour after one more JPEG of quality 90.

    Source: Krawetz, "A Picture's Worth" (2007), error level analysis.
    """
    again = Image.open(io.BytesIO(reencoded(image, quality=_QUALITY))).convert("RGB")
    bands = ImageChops.difference(image, again).split()
    return ImageChops.lighter(ImageChops.lighter(bands[0], bands[1]), bands[2])


def _noise(image: Image.Image) -> Image.Image:
    """Grey picture of what a median of 3 x 3 takes away."""
    grey = image.convert("L")
    return ImageChops.difference(grey, grey.filter(ImageFilter.MedianFilter(3)))


def _drawn(levels: Image.Image) -> bytes:
    """A map, reduced by the mean of its places and stretched to white."""
    share = min(1.0, _SHOWN_PX / max(levels.size))
    width, height = (max(1, round(side * share)) for side in levels.size)
    small = levels.resize((width, height), Image.Resampling.BOX)
    values: Floats = np.asarray(small, np.float32)  # [h, w]
    white = max(float(np.percentile(values, _BRIGHT)), _LEAST)
    grey = np.clip(values / white * 255, 0, 255).astype(np.uint8)
    return reencoded(Image.fromarray(grey))
