"""The demo's gallery: robust against every report, safe with every text, and quiet on the network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from workers.demo.gallery import write_gallery

DIGEST = "3f" * 32
HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>&amp;${style}"""
VOID = {"meta", "img", "input", "rect"}


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element was closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"style", "script"}:
            self.text += data

    def all(self, tag: str, class_name: str = "") -> list[dict[str, str | None]]:
        return [
            attributes
            for name, attributes in self.elements
            if name == tag and (not class_name or class_name in (attributes.get("class") or "").split())
        ]


def _job(**changes: Any) -> dict[str, Any]:
    return {
        "id": "job_01",
        "sku": "CHAIR-1",
        "title": "Green chair",
        "state": "succeeded",
        "before": "source/chair.jpg",
        "prompt": "The chair stands in snow.",
        "attempts": {"submit": 1, "poll": 3},
        "outputs": [_output()],
        "webhook": {"delivered": True, "verified": True, "attempts": 2},
        "timings": {"queued_seconds": 0.25, "render_seconds": 6.5, "store_seconds": 0.25, "total_seconds": 7.0},
        "error": None,
        **changes,
    }


def _output(**changes: Any) -> dict[str, Any]:
    return {
        "key": "results/2026/01/02/job_01/0.png",
        "path": "results/0.png",
        "sha256": DIGEST,
        "width": 900,
        "height": 600,
        "content_type": "image/png",
        "size_bytes": 227_400,
        **changes,
    }


def _report(*jobs: Any, **changes: Any) -> dict[str, Any]:
    return {"jobs": list(jobs), "charged": 12, "submitted": 13, "seconds": 125.4, "workers": 2, **changes}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A gallery's folder with one original and one result; the page only asks whether they exist."""
    for name in ("source/chair.jpg", "results/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"picture")
    return tmp_path


def _html(report: Mapping[str, Any], directory: Path) -> str:
    return write_gallery(report, directory).read_text(encoding="utf-8")


def _page(report: Mapping[str, Any], directory: Path) -> Page:
    page = Page(_html(report, directory))
    assert page.open == []
    return page


def test_a_job_is_shown_with_all_that_its_record_says(directory: Path) -> None:
    """Pictures, state, prompt, times, attempts, webhook, object name, hash, size: each is on the page."""
    page = _page(_report(_job()), directory)
    for text in (
        "Green chair", "CHAIR-1", "succeeded", "The chair stands in snow.", "job_01", "submit 1, poll 3",
        "7.0 s in all: 0.25 s queued, 6.5 s rendering, 0.25 s storing", "delivered, signature verified, 2 attempts",
        "results/2026/01/02/job_01/0.png", DIGEST[:12] + "…", "900 \N{MULTIPLICATION SIGN} 600, image/png, 227 kB",
    ):  # fmt: skip
        assert text in page.text
    assert DIGEST not in page.text
    assert [code["title"] for code in page.all("code") if "title" in code] == [DIGEST]
    assert [image["src"] for image in page.all("img") if "src" in image] == ["source/chair.jpg", "results/0.png"]


def test_the_summary_holds_the_figures_of_the_run(directory: Path) -> None:
    """Jobs, submissions, charges, total time and each state's count are on top."""
    page = _page(_report(_job(), _job(state="failed"), _job(state="failed")), directory)
    figures = re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", _html(_report(_job()), directory))
    assert dict(figures[:6]) == {
        "jobs": "1", "submitted": "13", "charged": "12", "total time": "2 min 05 s",
        "workers": "2", "workers killed": "not known",
    }  # fmt: skip
    assert "1 succeeded2 failed" in page.text
    assert [rect["width"] for rect in page.all("rect")[:2]] == ["33.33", "66.67"]


def test_texts_from_the_report_stay_texts(directory: Path) -> None:
    """Markup in any field of the report is shown as it is written and becomes no element."""
    hostile_job = _job(
        **dict.fromkeys(("id", "sku", "title", "state", "before", "prompt", "error"), HOSTILE),
        attempts={HOSTILE: 1},
        outputs=[_output(**dict.fromkeys(("key", "path", "sha256", "content_type"), HOSTILE))],
    )
    plain = _page(_report(_job(before=None, outputs=[_output(path=None)])), directory)
    page = _page(_report(hostile_job, flower_url=HOSTILE), directory)
    for tag in ("script", "style", "img"):
        assert len(page.all(tag)) == len(plain.all(tag))
    assert page.text.count(HOSTILE) >= 7
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_an_error_is_shown_as_text_or_as_code_and_message(directory: Path) -> None:
    """Both forms of a record's error are readable; a job without an error has no such line."""
    errors = ("gone", {"code": "content_rejected", "message": "No."})
    page = _page(_report(*(_job(error=error) for error in errors)), directory)
    assert "gone" in page.text
    assert "content_rejected: No." in page.text
    assert not _page(_report(_job()), directory).all("p", "error")


def test_the_page_may_run_its_own_script_and_style_only(directory: Path) -> None:
    """The content security policy allows nothing but local pictures and the two inline sources, by their hashes."""
    html = _html(_report(_job()), directory)
    (policy,) = [meta["content"] for meta in Page(html).all("meta") if "http-equiv" in meta]
    rules = dict(rule.strip().split(" ", 1) for rule in (policy or "").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "'self' file:"
    for tag in ("script", "style"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"


def test_the_page_names_no_other_host(directory: Path) -> None:
    """Without Flower there is no address on the page; with it there is one link, which loads nothing by itself."""
    assert "://" not in _html(_report(_job()), directory)
    page = _page(_report(_job(), flower_url="http://127.0.0.1:5555/tasks"), directory)
    assert [a["href"] for a in page.all("a") if (a["href"] or "").startswith("http")] == ["http://127.0.0.1:5555/tasks"]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", 5, None, ""])
def test_a_flower_address_that_is_none_makes_no_link(directory: Path, url: Any) -> None:
    """Only http and https addresses become links."""
    assert len(_page(_report(_job(), flower_url=url), directory).all("a")) == 1


NO_PICTURES = [
    None,
    "",
    7,
    "results/gone.png",
    "results",
    "//host.test/0.png",
    "https://host.test/0.png",
    "a\0b",
    "{directory}/results/0.png",
]


@pytest.mark.parametrize("path", NO_PICTURES)
def test_a_missing_result_is_a_marked_tile(directory: Path, path: Any) -> None:
    """A path that names no file beside the page gives a tile that says so, and no picture to open."""
    path = path.format(directory=directory) if isinstance(path, str) else path
    page = _page(_report(_job(outputs=[_output(path=path)])), directory)
    assert "results/2026/01/02/job_01/0.png is not here." in page.text
    assert len(page.all("div", "missing")) == 1
    assert not page.all("button", "open")


def test_a_job_without_results_says_its_state_instead(directory: Path) -> None:
    """A failed job has its original and a tile with the state in place of a result."""
    page = _page(_report(_job(state="needs_attention", outputs=[], before=None)), directory)
    assert "No result. The job's state: needs attention." in page.text
    assert len(page.all("div", "missing")) == 2


def test_a_result_without_its_original_opens_alone(directory: Path) -> None:
    """The large view gets an empty address for the original, and the result's own proportions."""
    (button,) = _page(_report(_job(before="source/gone.jpg")), directory).all("button", "open")
    assert (button["data-before"], button["data-after"], button["data-ratio"]) == ("", "results/0.png", "1.5000")


def test_a_name_with_reserved_characters_is_found_by_the_browser(directory: Path) -> None:
    """Spaces, hashes and question marks in a file's name are quoted in its address."""
    (directory / "results/a b#1?.png").write_bytes(b"picture")
    page = _page(_report(_job(outputs=[_output(path="results/a b#1?.png")])), directory)
    assert page.all("button", "open")[0]["data-after"] == "results/a%20b%231%3F.png"


def test_pictures_load_when_they_come_into_view_and_have_descriptions(directory: Path) -> None:
    """Every picture of a card is lazy and has an alternative text."""
    images = [image for image in _page(_report(_job()), directory).all("img") if "src" in image]
    assert [image["alt"] for image in images] == ["Before: Green chair", "After: Green chair"]
    assert {image["loading"] for image in images} == {"lazy"}


def test_all_outputs_of_a_job_are_shown(directory: Path) -> None:
    """Four results are four pictures and four objects."""
    page = _page(_report(_job(outputs=[_output(key=f"key-{number}") for number in range(4)])), directory)
    assert len(page.all("figure")) == 5
    assert len(page.all("button", "open")) == 4
    assert all(f"key-{number}" in page.text for number in range(4))


def test_the_filters_name_each_state_and_product_once(directory: Path) -> None:
    """One button per state with its count, one option per SKU, and cards carry what is filtered by."""
    jobs = [_job(), _job(sku="B"), _job(sku=None, state="failed"), _job(state="unheard_of")]
    page = _page(_report(*jobs), directory)
    buttons = [button["data-filter"] for button in page.all("button") if "data-filter" in button]
    assert buttons == ["", "succeeded", "failed", "unheard_of"]
    assert [option["value"] for option in page.all("option")] == ["", "B", "CHAIR-1"]
    assert [job["data-state"] for job in page.all("article")] == ["succeeded", "succeeded", "failed", "unheard_of"]
    assert "state unknown" in [state["class"] for state in page.all("p", "state")]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.414, "0.41 s in all"), (9.96, "10.0 s in all"), (59.97, "1 min 00 s in all"), (3725, "62 min 05 s in all")],
)
def test_durations_are_readable(directory: Path, value: float, text: str) -> None:
    """Seconds below a minute, minutes and seconds above, and never sixty seconds."""
    assert text in _page(_report(_job(timings={"total_seconds": value})), directory).text


@pytest.mark.parametrize(("value", "text"), [(1, "1 byte"), (999, "999 bytes"), (1_000, "1 kB"), (2_340_000, "2.3 MB")])
def test_sizes_are_readable(directory: Path, value: int, text: str) -> None:
    """Bytes, kilobytes of a thousand, megabytes."""
    assert f", {text}" in _page(_report(_job(outputs=[_output(size_bytes=value)])), directory).text


@pytest.mark.parametrize("value", [None, True, -1, float("nan"), float("inf"), "12"])
def test_a_figure_that_is_no_count_is_not_known(directory: Path, value: Any) -> None:
    """The summary never shows what only looks like a number."""
    assert "<dt>charged</dt><dd>not known</dd>" in _html(_report(_job(), charged=value), directory)


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"jobs": None},
        {"jobs": "no list"},
        {"jobs": [None, 3, "x", {}]},
        _report(dict.fromkeys(_job()), charged=None, submitted=float("nan"), seconds="soon", workers=True),
        _report(_job(outputs=[None, {}, dict.fromkeys(_output())], webhook=[], timings=3, attempts=["poll"])),
        _report(_job(outputs=7, webhook={"attempts": -1}, timings=dict.fromkeys(_job()["timings"], float("inf")))),
        _report(_job(timings=dict.fromkeys(_job()["timings"], 0), outputs=[_output(width=0, height=True)])),
    ],
)
def test_a_broken_report_still_gives_a_page(directory: Path, report: dict[str, Any]) -> None:
    """Missing, empty and nonsensical values are shown as not known; the page is complete."""
    page = _page(report, directory)
    assert "Before and after" in page.text
    assert not re.search(r"\b(None|nan|inf|True)\b", page.text)


def test_a_report_without_jobs_says_so(directory: Path) -> None:
    """An empty report gives a page without filters that names the reason."""
    page = _page(_report(), directory)
    assert "The report holds no jobs." in page.text
    assert not page.all("nav")


def test_the_folder_is_made_and_the_page_replaced(tmp_path: Path) -> None:
    """The page is at `index.html` in a folder that need not exist, and the last report wins."""
    folder = tmp_path / "new" / "gallery"
    write_gallery(_report(_job(title="First")), folder)
    path = write_gallery(_report(_job(title="Second")), folder)
    assert path == folder / "index.html"
    assert "Second" in path.read_text(encoding="utf-8")
    assert "First" not in path.read_text(encoding="utf-8")


def test_two_hundred_jobs_stay_a_small_page(directory: Path) -> None:
    """The page of two hundred jobs is below a megabyte, for pictures are linked and not embedded."""
    jobs = [_job(id=f"job_{number}", outputs=[_output()] * 2) for number in range(200)]
    path = write_gallery(_report(*jobs), directory)
    assert len(Page(path.read_text(encoding="utf-8")).all("article")) == 200
    assert path.stat().st_size < 1_000_000
