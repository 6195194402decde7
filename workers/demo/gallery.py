"""The demo's last page: every photo before and after, with what the system says about its job.

The page is one file beside the pictures. It opens from `file://` and asks nobody for anything: style and script are
inside, and its content security policy names them by hash and allows no other. Everything from the report is escaped,
and a value that is missing or of the wrong kind is shown as missing; a report about failures must not fail itself.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import isfinite
from pathlib import Path, PurePosixPath, PureWindowsPath
from string import Template
from typing import Any
from urllib.parse import quote

Record = Mapping[str, Any]

FILE_NAME = "index.html"
ABSENT = "not known"
SHORT_HASH_LENGTH = 12
MINUTE_SECONDS = 60
KILOBYTE = 1000
JOB_STATES = (
    "succeeded",
    "partial",
    "failed",
    "cancelled",
    "needs_attention",
    "queued",
    "submitting",
    "rendering",
    "storing",
)
PHASES = {"queued": "queued", "render": "rendering", "store": "storing"}


def write_gallery(report: Mapping[str, Any], directory: Path) -> Path:
    """`index.html` is in the directory and shows the report, whose paths are relative to the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / FILE_NAME
    path.write_text(_page(report, directory), encoding="utf-8")
    return path


def _page(report: Record, directory: Path) -> str:
    jobs = _records(report.get("jobs"))
    style, script = _part("gallery.css"), _part("gallery.js")
    return Template(_part("gallery.html")).substitute(
        style=style,
        style_hash=_source_hash(style),
        script=script,
        script_hash=_source_hash(script),
        lead=_lead(jobs),
        summary=_summary(report, jobs),
        filters=_filters(jobs) if jobs else "",
        cards="\n".join(_card(job, directory) for job in jobs),
        nothing="No job matches these filters." if jobs else "The report holds no jobs.",
        nothing_hidden=" hidden" if jobs else "",
    )


def _part(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _source_hash(source: str) -> str:
    """The name under which the content security policy allows exactly this inline source."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}'"


# ---- the top of the page


def _lead(jobs: Sequence[Record]) -> str:
    results = sum(len(_records(job.get("outputs"))) for job in jobs)
    verified = sum(_record(job.get("webhook")).get("verified") is True for job in jobs)
    return (
        f"{_count(len(jobs), 'job')} left {_count(results, 'result')} in the store. "
        f"The receiver verified the webhooks of {verified} of them. Select a result to compare it with its original."
    )


def _summary(report: Record, jobs: Sequence[Record]) -> str:
    figures = [
        ("jobs", str(len(jobs))),
        ("submitted", _whole(report.get("submitted"))),
        ("charged", _whole(report.get("charged"))),
        ("total time", _duration(report.get("seconds"))),
        ("workers", _whole(report.get("workers"))),
        ("workers killed", _whole(report.get("killed_workers"))),
    ]
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures)
    return f'<dl class="figures">{cells}</dl>{_states(jobs)}{_flower_link(report.get("flower_url"))}'


def _states(jobs: Sequence[Record]) -> str:
    """A bar of all jobs by state, with its legend."""
    states = Counter(_state(job) for job in jobs)
    bars = [(_state_class(state), float(states[state])) for state in _ordered(states)]
    legend = "".join(
        f'<li class="state {_state_class(state)}">{states[state]} {escape(_words(state))}</li>'
        for state in _ordered(states)
    )
    return f'{_stacked_bar("spread", bars)}<ul class="states" aria-label="Jobs by state">{legend}</ul>' if jobs else ""


def _stacked_bar(name: str, parts: Sequence[tuple[str, float]]) -> str:
    """Parts of a whole, each as wide as its share; the text beside it says the same."""
    total = sum(value for _, value in parts)
    bars, left = [], 0.0
    for part, value in parts:
        width = 100 * value / total
        bars.append(f'<rect class="{part}" x="{left:.2f}" y="0" width="{width:.2f}" height="1"/>')
        left += width
    return (
        f'<svg class="{name}" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'
    )


def _flower_link(url: Any) -> str:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return ""
    return f'<p class="link"><a href="{escape(url)}" rel="noreferrer">Every step of these jobs, in Flower</a></p>'


def _filters(jobs: Sequence[Record]) -> str:
    states = Counter(_state(job) for job in jobs)
    buttons = [_filter_button("", "All", len(jobs), is_chosen=True)]
    buttons += [_filter_button(state, _words(state), states[state], is_chosen=False) for state in _ordered(states)]
    skus = sorted({_text(job.get("sku")) for job in jobs} - {""})
    options = "".join(f'<option value="{escape(sku)}">{escape(sku)}</option>' for sku in skus)
    return (
        f'<nav class="filters" id="filters" aria-label="Filters" hidden>{"".join(buttons)}'
        f'<select id="sku" aria-label="Product (SKU)"><option value="">All products</option>{options}</select>'
        '<output id="count"></output></nav>'
    )


def _filter_button(state: str, label: str, count: int, *, is_chosen: bool) -> str:
    pressed = "true" if is_chosen else "false"
    return (
        f'<button type="button" data-filter="{escape(state)}" aria-pressed="{pressed}">'
        f"{escape(label.capitalize())}<b>{count}</b></button>"
    )


# ---- one job


def _card(job: Record, directory: Path) -> str:
    state, pictures = _state(job), list(_pictures(job, directory))
    return (
        f'<article class="job" data-state="{escape(state)}" data-sku="{escape(_text(job.get("sku")))}">'
        f'<div class="pictures of-{len(pictures)}">{"".join(pictures)}</div>'
        '<div class="text"><div class="heading">'
        f'<h2>{escape(_title(job))}</h2><p class="state {_state_class(state)}">{escape(_words(state))}</p></div>'
        f'<p class="sku">{escape(_text(job.get("sku")) or "no SKU")}</p>'
        f'<p class="prompt">{escape(_text(job.get("prompt")) or "No prompt.")}</p>'
        f"{_error(job)}{_facts(job)}</div></article>"
    )


def _pictures(job: Record, directory: Path) -> Iterator[str]:
    title = _title(job)
    before = _source(job.get("before"), directory)
    yield _picture("Before", _image(before, f"Before: {title}") if before else _missing("The original is not here."))
    outputs = _records(job.get("outputs"))
    if not outputs:
        yield _picture("After", _missing(f"No result. The job's state: {_words(_state(job))}."))
    for number, output in enumerate(outputs, start=1):
        label = "After" if len(outputs) == 1 else f"After {number} of {len(outputs)}"
        after = _source(output.get("path"), directory)
        name = f"{_text(output.get('key')) or 'The result'} is not here."
        yield _picture(label, _opener(job, output, before, after, label) if after else _missing(name))


def _picture(label: str, content: str) -> str:
    return f'<figure class="picture">{content}<figcaption>{escape(label)}</figcaption></figure>'


def _image(source: str, description: str, *, width: str = "", height: str = "") -> str:
    size = f' width="{width}" height="{height}"' if width and height else ""
    return f'<img src="{escape(source)}" alt="{escape(description)}" loading="lazy" decoding="async"{size}>'


def _missing(text: str) -> str:
    return f'<div class="missing" role="img" aria-label="{escape(text)}"><span>{escape(text)}</span></div>'


def _opener(job: Record, output: Record, before: str, after: str, label: str) -> str:
    """The result as a button that opens the large view, which finds all it shows in the data attributes."""
    title = _title(job)
    width, height = _positive(output.get("width")), _positive(output.get("height"))
    ratio = f"{width / height:.4f}" if width and height else "1"
    image = _image(after, f"{label}: {title}", width=f"{width:.0f}", height=f"{height:.0f}") if width and height else (
        _image(after, f"{label}: {title}")
    )  # fmt: skip
    data = {"before": before, "after": after, "title": title, "prompt": _text(job.get("prompt")), "ratio": ratio}
    attributes = " ".join(f'data-{name}="{escape(value)}"' for name, value in data.items())
    name = escape(f"Compare: {title}, {label}")
    return f'<button type="button" class="open" aria-label="{name}" {attributes}>{image}</button>'


def _error(job: Record) -> str:
    error = job.get("error")
    if isinstance(error, Mapping):
        error = ": ".join(_text(error.get(name)) for name in ("code", "message") if error.get(name))
    return f'<p class="error">{escape(_text(error))}</p>' if error else ""


def _facts(job: Record) -> str:
    """What the record says: one term with one or more descriptions each."""
    facts: list[tuple[str, list[str]]] = [
        ("Job", [f"<code>{escape(_text(job.get('id')) or ABSENT)}</code>"]),
        ("Time", [_timings(_record(job.get("timings")))]),
        ("Attempts", [_attempts(job.get("attempts"))]),
        ("Webhook", [_webhook(_record(job.get("webhook")))]),
    ]
    facts += [("Object", [_object_name(output), _content(output)]) for output in _records(job.get("outputs"))]
    rows = (f"<dt>{name}</dt>" + "".join(f"<dd>{value}</dd>" for value in values) for name, values in facts)
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _timings(timings: Record) -> str:
    seconds = {name: _positive(timings.get(f"{name}_seconds")) for name in (*PHASES, "total")}
    phases = [(name, value) for name in PHASES if (value := seconds[name]) is not None]
    if not phases:
        return ABSENT if seconds["total"] is None else f"{_duration(seconds['total'])} in all"
    parts = ", ".join(f"{_duration(value)} {PHASES[name]}" for name, value in phases)
    text = parts if seconds["total"] is None else f"{_duration(seconds['total'])} in all: {parts}"
    return text + (_stacked_bar("timeline", phases) if any(value for _, value in phases) else "")


def _attempts(attempts: Any) -> str:
    known = [(name, value) for name, value in _record(attempts).items() if _positive(value) is not None]
    return escape(", ".join(f"{_words(_text(name))} {_whole(value)}" for name, value in known) or ABSENT)


def _webhook(webhook: Record) -> str:
    if not webhook:
        return ABSENT
    delivered, verified = webhook.get("delivered") is True, webhook.get("verified") is True
    text = f"{'delivered' if delivered else 'not delivered'}, {'signature verified' if verified else 'not verified'}"
    attempts = _positive(webhook.get("attempts"))
    tries = f", {_count(round(attempts), 'attempt')}" if attempts is not None else ""
    return f'<span class="{"good" if delivered and verified else "bad"}">{escape(text + tries)}</span>'


def _object_name(output: Record) -> str:
    return f"<code>{escape(_text(output.get('key')) or ABSENT)}</code>"


def _content(output: Record) -> str:
    digest = _text(output.get("sha256"))
    short = f'<code title="{escape(digest)}">{escape(digest[:SHORT_HASH_LENGTH])}…</code>' if digest else ABSENT
    width, height = _positive(output.get("width")), _positive(output.get("height"))
    known = [
        f"{width:.0f} \N{MULTIPLICATION SIGN} {height:.0f}" if width and height else "",
        _text(output.get("content_type")),
        _size(output.get("size_bytes")),
    ]
    return f"sha256 {short} · {escape(', '.join(value for value in known if value))}"


# ---- values that may be missing, and their words


def _records(value: Any) -> list[Record]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []


def _record(value: Any) -> Record:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _title(job: Record) -> str:
    return next((text for name in ("title", "sku", "id") if (text := _text(job.get(name)))), "Untitled")


def _state(job: Record) -> str:
    return _text(job.get("state")) or "unknown"


def _state_class(state: str) -> str:
    return state if state in JOB_STATES else "unknown"


def _ordered(states: Mapping[str, int]) -> list[str]:
    """Final states first, unheard-of ones last."""
    rank = {state: index for index, state in enumerate(JOB_STATES)}
    return sorted(states, key=lambda state: (rank.get(state, len(rank)), state))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _positive(value: Any) -> float | None:
    """The number, if it is one that can be measured; 0 counts."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and isfinite(value) and value >= 0 else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _whole(value: Any) -> str:
    number = _positive(value)
    return ABSENT if number is None else f"{number:.0f}"


def _duration(value: Any) -> str:
    seconds = _positive(value)
    if seconds is None:
        return ABSENT
    if round(seconds, 1) < MINUTE_SECONDS:
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), MINUTE_SECONDS)
    return f"{minutes} min {rest:02d} s"


def _size(value: Any) -> str:
    size_bytes = _positive(value)
    if size_bytes is None:
        return ""
    if size_bytes < KILOBYTE:
        return _count(round(size_bytes), "byte")
    if size_bytes < KILOBYTE**2:
        return f"{size_bytes / KILOBYTE:.0f} kB"
    return f"{size_bytes / KILOBYTE**2:.1f} MB"


def _source(path: Any, directory: Path) -> str:
    """The picture's address relative to the page, or nothing when no such file is there."""
    if not isinstance(path, str) or not path or "\0" in path:
        return ""
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).drive or not (directory / path).is_file():
        return ""
    return quote(path)
