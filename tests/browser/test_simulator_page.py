"""The simulator's page in a real browser, as a developer sees and uses it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from sceneshift.simulator import RunningSimulator, SimulatorConfig, running_simulator
from tests.browser.visit import Visit
from tests.unit.simulator.support import mask, photo

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

PICTURES_ARE_DRAWN = "() => [...document.querySelectorAll('.picture img')].every((each) => each.naturalWidth > 0)"
NOTHING_IS_CUT_OFF = """() => [document.documentElement, ...document.querySelectorAll(".card, .exchanges, .panel")]
  .every((each) => each.scrollWidth <= each.clientWidth + 1)"""
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour, below) => {
    canvas.fillStyle = below; canvas.fillRect(0, 0, 1, 1);
    canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const backdrop = (node) => {
    const own = node ? getComputedStyle(node).backgroundColor : "rgb(255, 255, 255)";
    return node && /, 0\\)$/.test(own) ? backdrop(node.parentElement) : own;
  };
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, index) => sum + c * [0.2126, 0.7152, 0.0722][index], 0);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const words = [...node.childNodes].some((each) => each.nodeType === 3 && each.textContent.trim());
    if (!words || !node.checkVisibility() || node.disabled || node.closest("figcaption")) continue;
    const below = backdrop(node), colour = getComputedStyle(node).color;
    const pair = [light(channels(colour, below)), light(channels(below, below))];
    const contrast = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    found.push([contrast, node.className || node.tagName, node.textContent]);
  }
  return found;
}"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The machine's own Chromium; nothing is downloaded."""
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail(f"none of {', '.join(NAMES)} is on PATH")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab with nothing remembered."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    """A product photo and its mask."""
    (tmp_path / "box.png").write_bytes(photo())
    (tmp_path / "box.mask.png").write_bytes(mask())
    return tmp_path


@pytest.fixture
def simulator(catalogue: Path) -> Iterator[RunningSimulator]:
    """A simulator whose tasks take a minute or so, on its own clock."""
    config = SimulatorConfig(catalogue=catalogue, quality="draft", median_seconds=60.0)
    with running_simulator(config) as running:
        yield running


@pytest.fixture
def visit(page: Page, simulator: RunningSimulator) -> Visit:
    """The simulator's page, opened and connected."""
    opened = Visit(page, simulator)
    opened.open()
    return opened


def test_job_is_seen_from_start_to_finish_without_a_reload(visit: Visit) -> None:
    """A submission appears as it comes in, counts down, and gets its images, each of which is fetched once."""
    expect(visit.page.locator("#no-cards")).to_be_visible()
    visit.page.evaluate("window.sameVisit = true")
    key = visit.submit().json()["data"]["result_key"]
    card = visit.cards
    expect(card).to_have_count(1)
    expect(card.locator(".word")).to_have_text(re.compile("WAITING|RUNNING"))
    expect(card.locator(".left")).to_have_text(re.compile(r"\d+ (s|min).* left"))
    expect(card.locator(".picture img")).to_have_count(2)
    visit.simulator.control(advance_seconds=3000)
    visit.query(key)
    expect(card.locator(".word")).to_have_text("SUCCESS")
    expect(card.locator(".picture img")).to_have_count(4)
    expect(card.locator(".key")).to_have_text(key)
    visit.page.wait_for_function(PICTURES_ARE_DRAWN)
    expect(visit.rows.filter(has_text="SUCCESS")).to_have_count(1)
    for _ in range(2):
        visit.page.wait_for_event("requestfinished", lambda request: request.url.endswith("/_sim/state"))
    pictures = [url for url in visit.requests if f"/_sim/pictures/{key}/" in url]
    assert len(pictures) == len(set(pictures)) == 4
    assert visit.page.evaluate("window.sameVisit")
    assert visit.complaints == []


def test_page_asks_nobody_but_the_simulator_and_counts_as_no_client(visit: Visit) -> None:
    """All requests go to the page's own origin, also for photos of another one, and the ledger knows of none."""
    visit.submit()
    visit.simulator.control(advance_seconds=3000)
    expect(visit.cards.locator(".picture img")).to_have_count(4)
    visit.page.wait_for_function(PICTURES_ARE_DRAWN)
    assert {url for url in visit.requests if not url.startswith(f"{visit.simulator.base_url}/")} == set()
    assert visit.simulator.ledger()["downloads"] == 0
    assert visit.complaints == []


def test_foreign_text_is_shown_and_never_run(visit: Visit) -> None:
    """Markup in a prompt, a nonce or a question's key is text on the page: nothing of it becomes an element."""
    hostile = """<script>window.ran = 1</script><img src=x onerror="window.ran = 2">"'&amp;"""
    visit.submit(positive_prompt=hostile, negative_prompt=hostile)
    visit.query(hostile)
    card = visit.cards
    expect(card.locator(".prompt")).to_have_text(hostile)
    card.locator("summary").click()
    expect(card.locator(".facts")).to_contain_text(hostile)
    expect(visit.rows.filter(has_text="query").locator(".key")).to_have_attribute("title", hostile)
    assert visit.page.locator(".card script, #rows script, #rows img, .facts img").count() == 0
    assert visit.page.evaluate("window.ran") is None
    assert {"javascript:", "data:"}.isdisjoint(re.findall(r'(?:href|src)="(\w+:)', visit.page.content()))
    assert visit.complaints == []


def test_scenario_is_chosen_with_the_keyboard_and_the_next_submission_meets_it(visit: Visit) -> None:
    """What is found, chosen and added in the panel strikes the next call, which the card and the table say."""
    page = visit.page
    page.get_by_label("Find a scenario").focus()
    page.keyboard.type("accept then 504")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#scenario-about")).to_contain_text("Accepted and charged")
    expect(page.locator("#scenario-about")).to_contain_text("Sceneshift: The job is held")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_contain_text("submit-accept-then-504@1 holds from now on")
    assert visit.submit().status_code == 504
    expect(visit.cards.locator(".met")).to_have_text("met submit-accept-then-504")
    row = visit.rows.filter(has_text="submit-accept-then-504")
    expect(row).to_have_class("error")
    expect(row).to_contain_text("504")
    expect(page.locator("#rules .times")).to_have_text("submit 1; struck once")
    page.get_by_role("button", name="Remove submit-accept-then-504@1").click()
    expect(page.locator("#no-scenarios")).to_be_visible()
    assert visit.submit().status_code == 200
    assert visit.complaints == []


def test_panel_moves_the_clock_sets_credits_and_forgets(visit: Visit) -> None:
    """Each control of the panel does what it says, and the page says that it was done."""
    page = visit.page
    key = visit.submit().json()["data"]["result_key"]
    page.get_by_role("button", name="1 h", exact=True).click()
    expect(page.locator("#clock-ahead")).to_have_text(re.compile("^1 h.* ahead|^60 min ahead|^59 min .* ahead"))
    expect(visit.cards.locator(".word")).to_have_text("SUCCESS")
    page.get_by_label("Credits").fill("0")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#done")).to_have_text("The account has 0 credits.")
    assert visit.submit().status_code == 403
    page.get_by_role("button", name="Forget all results").click()
    expect(visit.cards).to_have_count(0)
    assert visit.query(key).status_code == 400
    assert visit.complaints == []


def test_exchanges_can_be_narrowed_down(visit: Visit) -> None:
    """The table shows one kind, errors only, or one submission's exchanges."""
    keys = [visit.submit().json()["data"]["result_key"] for _ in range(2)]
    for key in (*keys, "unknown"):
        visit.query(key)
    expect(visit.rows).to_have_count(5)
    visit.page.get_by_role("button", name="Query", exact=True).click()
    expect(visit.rows).to_have_count(3)
    visit.page.get_by_role("button", name="Errors and scenarios").click()
    expect(visit.rows).to_have_count(1)
    expect(visit.rows).to_contain_text("23500008 No records found")
    visit.cards.filter(has_text=keys[0]).get_by_role("button", name="Its exchanges").click()
    expect(visit.rows).to_have_count(2)
    assert visit.complaints == []


def test_page_says_that_the_simulator_is_gone_and_goes_on_when_it_is_back(page: Page) -> None:
    """Without an answer the page says so and keeps what it has; when somebody answers again, it is live by itself."""
    with simulator_process(0) as running:
        visit = Visit(page, running)
        visit.open()
        expect(page.locator("#gone")).to_be_hidden()
    expect(page.locator("#gone")).to_be_visible()
    expect(page.locator("#gone")).to_contain_text("The simulator does not answer.")
    expect(page.locator("#connection")).to_have_text("No answer")
    page.get_by_role("button", name="1 min", exact=True).click()
    expect(page.locator("#done")).to_have_text("The simulator does not answer; nothing has changed.")
    with simulator_process(int(running.base_url.rpartition(":")[2])):
        expect(page.locator("#connection")).to_have_text("Live")
        expect(page.locator("#gone")).to_be_hidden()
    assert {line for line in visit.complaints if "ERR_CONNECTION_REFUSED" not in line} == set()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_is_readable(visit: Visit, scheme: str, width: int) -> None:
    """Every text has a contrast of at least 4.5 to what is behind it, and nothing is wider than its place."""
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    visit.page.set_viewport_size({"width": width, "height": 844})
    visit.simulator.control(scenarios=["submit-accept-then-500@2", "query-500@1"])
    key = visit.submit().json()["data"]["result_key"]
    visit.submit(positive_prompt="w" * 500)
    visit.query(key)
    expect(visit.cards).to_have_count(2)
    expect(visit.rows.locator("visible=true").first).to_be_visible()
    expect(visit.rows.and_(visit.page.locator(".error"))).to_have_count(2)
    low = [found for found in visit.page.evaluate(CONTRASTS) if found[0] < 4.5]
    assert low == []
    assert visit.page.evaluate(NOTHING_IS_CUT_OFF)
    assert visit.complaints == []


@contextmanager
def simulator_process(port: int) -> Iterator[RunningSimulator]:
    """The simulator as the command line runs it."""
    command = [sys.executable, "-m", "sceneshift", "simulator", "--port", str(port), "--appcode", "given"]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as process:
        try:
            assert process.stdout is not None
            found = re.match(r"simulator listening on (http://[^/]+)/", process.stdout.readline())
            assert found is not None
            yield RunningSimulator(base_url=found[1], appcode="given")
        finally:
            process.terminate()
            process.wait(timeout=20)
