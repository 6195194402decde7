"""A simulator under test: in this process, on a clock that only the test moves, with pictures from memory."""

from __future__ import annotations

import asyncio
import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import httpx
from PIL import Image, ImageDraw

from sceneshift.simulator import SimulatorConfig, create_app
from sceneshift.simulator.answers import Fault, FaultError

BASE_URL = "http://simulator.test"
START = 1_700_000_000.0
SIZE = (480, 400)
PRODUCT_BOX = (160, 120, 320, 340)
PRODUCT_COLOUR = (30, 120, 60)


def photo(size: tuple[int, int] = SIZE, image_format: str = "PNG") -> bytes:
    """A green box before a grey wall."""
    picture = Image.new("RGB", size, (205, 205, 208))
    ImageDraw.Draw(picture).rectangle(PRODUCT_BOX, fill=PRODUCT_COLOUR)
    return _encoded(picture, image_format)


def mask(size: tuple[int, int] = SIZE, *, kept: int = 255) -> bytes:
    """White where the box is, or the other way round with `kept=0`."""
    picture = Image.new("L", size, 255 - kept)
    ImageDraw.Draw(picture).rectangle(PRODUCT_BOX, fill=kept)
    return _encoded(picture, "PNG")


def _encoded(picture: Image.Image, image_format: str) -> bytes:
    output = io.BytesIO()
    picture.save(output, image_format)
    return output.getvalue()


def item(**changes: Any) -> dict[str, Any]:
    """The document's sample item; a change to None leaves the field out."""
    sample: dict[str, Any] = {
        "image": "https://img.alicdn.com/abc.png",
        "mask": "https://img.alicdn.com/abc-mask.png",
        "positive_prompt": "on soft pale yellow silk",
        "negative_prompt": "NSFW",
        "guidance_scale": 7.5,
        "strength": 0.5,
        "seed": 0,
        "steps": 50,
        "num_output": 3,
    }
    return {name: value for name, value in (sample | changes).items() if value is not None}


def seeded(seed: int) -> Random:
    return Random(seed)


class Desk:
    """Speaks HTTP to one simulator and moves its clock."""

    def __init__(self, config: SimulatorConfig, runner: asyncio.Runner) -> None:
        self.now = START
        self.pictures = {item()["image"]: photo(), item()["mask"]: mask()}
        self.fetched: list[str] = []
        self.app = create_app(config, clock=lambda: self.now, fetch=self._fetch)
        self._runner = runner
        self._nonces = itertools.count()
        self.appcode = config.appcode

    def _fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if url not in self.pictures:
            raise FaultError(Fault.IMAGE_UNREACHABLE)
        return self.pictures[url]

    def headers(self, **changes: str | None) -> dict[str, str]:
        usual = {
            "Authorization": f"APPCODE {self.appcode}",
            "X-Ca-Nonce": f"nonce-{next(self._nonces)}",
            "Content-Type": "application/json",
        }
        return {name: value for name, value in (usual | changes).items() if value is not None}

    def request(self, method: str, url: str, **arguments: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
                return await client.request(method, url, **arguments)

        return self._runner.run(send())

    def post(self, endpoint: str, body: Any, **headers: str | None) -> httpx.Response:
        return self.request("POST", f"/api/v1/bg-rep/{endpoint}", json=body, headers=self.headers(**headers))

    def submit(self, *items: dict[str, Any], **headers: str | None) -> httpx.Response:
        return self.post("submit", {"data": {"task_list": list(items or (item(),))}}, **headers)

    def query(self, result_key: str, **headers: str | None) -> httpx.Response:
        return self.post("query", {"data": {"result_key": result_key}}, **headers)

    def accepted(self, *items: dict[str, Any]) -> str:
        answer = self.submit(*items)
        assert answer.status_code == 200, answer.text
        key: str = answer.json()["data"]["result_key"]
        return key

    def tasks(self, result_key: str) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = self.query(result_key).json()["data"]["task_list"]
        return tasks

    def statuses(self, result_key: str) -> list[str]:
        return [task["status"] for task in self.tasks(result_key)]

    def results(self, result_key: str) -> list[str]:
        return [url for task in self.tasks(result_key) for url in task["results"]]

    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = self.request("GET", "/ledger").json()
        return ledger


@contextmanager
def open_desk(**behaviour: Any) -> Iterator[Desk]:
    with asyncio.Runner() as runner:
        yield Desk(SimulatorConfig(**behaviour), runner)
