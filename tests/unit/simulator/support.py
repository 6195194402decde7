"""A simulator under test: in this process, on a clock that only the test moves, with pictures from memory."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from random import Random
from typing import Any

import httpx
from PIL import Image, ImageDraw

from sceneshift.simulator import SimulatorConfig, SimulatorTransport
from sceneshift.simulator.answers import Fault, FaultError

BASE_URL = "http://simulator.test"
START = 1_700_000_000.0
LONG_AFTER = 3000.0
"""Seconds after which every ordinary task has ended."""
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

    def __init__(self, config: SimulatorConfig) -> None:
        self.now = START
        self.pictures = {item()["image"]: photo(), item()["mask"]: mask()}
        self.fetched: list[str] = []
        self.simulator = SimulatorTransport(config, clock=lambda: self.now, fetch=self._fetch)
        self._client = httpx.Client(transport=self.simulator, base_url=BASE_URL, trust_env=False)
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
        return self._client.request(method, url, **arguments)

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

    def finished(self, *items: dict[str, Any]) -> str:
        """The key of a submission whose tasks have ended."""
        key = self.accepted(*items)
        self.now += LONG_AFTER
        return key

    def download(self, url: str, received: bytearray, *, most_bytes: float = inf, **options: Any) -> httpx.Response:
        """An answer whose body has been added to `received` as it came, until there were about so many bytes."""
        with self._client.stream("GET", url, **options) as answer:
            for chunk in answer.iter_raw():
                received += chunk
                if len(received) >= most_bytes:
                    break
        return answer

    def control(self, document: Any, **headers: str) -> httpx.Response:
        """The answer to a POST to `/_sim/control`."""
        return self.request("POST", "/_sim/control", json=document, headers=headers)

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.request("GET", "/_sim/state").json()
        return state

    def ledger(self) -> dict[str, Any]:
        ledger: dict[str, Any] = self.request("GET", "/_sim/ledger").json()
        return ledger


@contextmanager
def open_desk(**behaviour: Any) -> Iterator[Desk]:
    opened = Desk(SimulatorConfig(**behaviour))
    with opened.simulator:
        yield opened
