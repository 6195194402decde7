"""One tab that shows a simulator's page, with all that it asked for and complained of."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
from playwright.sync_api import Locator, Page, expect

from sceneshift.simulator import RunningSimulator
from tests.unit.simulator.support import item

PATIENCE_MILLISECONDS = 20_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)


class Visit:
    """Keeps every request, every message on the console, and every dialogue of the page."""

    def __init__(self, page: Page, simulator: RunningSimulator) -> None:
        self.page = page
        self.simulator = simulator
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", self._close)

    def _close(self, dialog: Any) -> None:
        self.complaints.append(f"dialogue: {dialog.message}")
        dialog.dismiss()

    def open(self) -> None:
        self.page.goto(self.simulator.base_url)
        expect(self.page.locator("#connection")).to_have_text("Live")

    @property
    def cards(self) -> Locator:
        return self.page.locator(".card")

    @property
    def rows(self) -> Locator:
        return self.page.locator("#rows tr")

    def submit(self, **changes: Any) -> httpx.Response:
        """A client's submission; its pictures are named by another origin than the page's."""
        source = self.simulator.base_url.replace("127.0.0.1", "localhost")
        order = item(
            image=f"{source}/catalogue/box.png", mask=f"{source}/catalogue/box.mask.png", **{"num_output": 2, **changes}
        )
        return self._post("submit", {"task_list": [order]})

    def query(self, key: str) -> httpx.Response:
        return self._post("query", {"result_key": key})

    def _post(self, endpoint: str, data: dict[str, Any]) -> httpx.Response:
        headers = {"Authorization": f"APPCODE {self.simulator.appcode}", "X-Ca-Nonce": str(uuid.uuid4())}
        url = f"{self.simulator.url}/{endpoint}"
        return httpx.post(url, json={"data": data}, headers=headers, trust_env=False, timeout=20.0)
