"""Every way of delivering an answer, over a real connection: what its caller gets, while others are served.

`test_scenarios` and `test_transport` have the same over the transport inside one process.
"""

from __future__ import annotations

import json
import logging
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sceneshift.simulator import RunningSimulator, SimulatorConfig, running_simulator
from tests.unit.simulator.support import LONG_AFTER, item, mask, photo


class Booth:
    """Speaks to one simulator on a socket, as HTTP or byte by byte."""

    def __init__(self, simulator: RunningSimulator) -> None:
        self.simulator = simulator
        catalogue = f"{simulator.base_url}/catalogue"
        self.order = item(image=f"{catalogue}/box.png", mask=f"{catalogue}/box.mask.png", num_output=1)
        address = urlsplit(simulator.base_url)
        self._address = (str(address.hostname), int(address.port or 0))

    def post(self, endpoint: str, data: Any) -> httpx.Response:
        return httpx.post(
            f"{self.simulator.url}/{endpoint}",
            json={"data": data},
            headers=self._headers(),
            trust_env=False,
            timeout=10.0,
        )

    def submit(self) -> httpx.Response:
        return self.post("submit", {"task_list": [self.order]})

    def result(self) -> str:
        """The address of a picture that is there."""
        key = self.submit().json()["data"]["result_key"]
        self.simulator.control(advance_seconds=LONG_AFTER)
        (task,) = self.post("query", {"result_key": key}).json()["data"]["task_list"]
        url: str = task["results"][0]
        return url

    def is_served(self) -> bool:
        """Whether others are, in good time."""
        return httpx.get(f"{self.simulator.base_url}/healthz", trust_env=False, timeout=5.0).status_code == 200

    @contextmanager
    def line(self) -> Iterator[socket.socket]:
        """A connection of one's own."""
        with socket.create_connection(self._address, timeout=10.0) as connection:
            yield connection

    def raw_submit(self) -> bytes:
        body = json.dumps({"data": {"task_list": [self.order]}}).encode()
        return self._raw("POST", "/api/v1/bg-rep/submit", body)

    def raw_get(self, url: str) -> bytes:
        parts = urlsplit(url)
        return self._raw("GET", f"{parts.path}?{parts.query}", b"")

    def _raw(self, method: str, target: str, body: bytes) -> bytes:
        headers = {"Host": "simulator", "Content-Length": str(len(body)), **self._headers()}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode() + body

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"APPCODE {self.simulator.appcode}",
            "X-Ca-Nonce": str(uuid.uuid4()),
            "Content-Type": "application/json",
        }

    def until_charged(self, items: int) -> None:
        """The ledger has so many charged items, soon."""
        deadline = time.monotonic() + 10
        while self.simulator.ledger()["charged"] < items:
            assert time.monotonic() < deadline


@contextmanager
def open_booth(folder: Path, *scenarios: str) -> Iterator[Booth]:
    (folder / "box.png").write_bytes(photo())
    (folder / "box.mask.png").write_bytes(mask())
    with running_simulator(SimulatorConfig(catalogue=folder, quality="draft", scenarios=scenarios)) as simulator:
        yield Booth(simulator)


def everything(connection: socket.socket) -> bytes:
    received = bytearray()
    while chunk := connection.recv(1 << 16):
        received += chunk
    return bytes(received)


def read_at_least(connection: socket.socket, size_bytes: int) -> bytes:
    received = bytearray()
    while len(received) < size_bytes and (chunk := connection.recv(1 << 16)):
        received += chunk
    return bytes(received)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a caller does, the server has nothing to complain about."""
    with caplog.at_level(logging.WARNING):
        yield
    assert [record.getMessage() for record in caplog.get_records("call")] == []


@pytest.mark.parametrize(("rule", "charged"), [("submit-drop@1", 0), ("submit-accept-then-drop@1", 1)])
def test_dropped_call_gets_not_one_byte(tmp_path: Path, rule: str, charged: int) -> None:
    """The connection is closed in order, before any byte of an answer, and the next call is served."""
    with open_booth(tmp_path, rule) as booth, booth.line() as connection:
        connection.sendall(booth.raw_submit())
        assert everything(connection) == b""
        assert booth.simulator.ledger()["charged"] == charged
        assert booth.submit().status_code == 200


def test_dropped_call_is_httpx_remote_protocol_error(tmp_path: Path) -> None:
    """Over a socket a client sees the same error as over the transport in its process."""
    with open_booth(tmp_path, "submit-drop") as booth, pytest.raises(httpx.RemoteProtocolError):
        booth.submit()


def test_silence_lasts_until_the_client_gives_up(tmp_path: Path) -> None:
    """A silent call is charged and gets nothing; others are served meanwhile, and after the client has gone."""
    with open_booth(tmp_path, "submit-accept-then-timeout@1") as booth:
        with booth.line() as connection:
            connection.sendall(booth.raw_submit())
            booth.until_charged(1)
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert booth.submit().status_code == 200
        assert booth.submit().status_code == 200
        assert booth.simulator.ledger()["charged"] == 3


def test_silence_is_httpx_read_timeout(tmp_path: Path) -> None:
    """Over a socket a client sees the same error as over the transport in its process."""
    with open_booth(tmp_path, "query-timeout") as booth:
        key = booth.submit().json()["data"]["result_key"]
        with httpx.Client(trust_env=False, timeout=httpx.Timeout(5.0, read=0.2)) as client:
            request = {"json": {"data": {"result_key": key}}, "headers": booth._headers()}
            with pytest.raises(httpx.ReadTimeout):
                client.post(f"{booth.simulator.url}/query", **request)  # type: ignore[arg-type] # keywords of one call


def test_server_ends_at_once_and_cleanly_while_a_call_is_silent(tmp_path: Path) -> None:
    """A caller that still waits sees its connection closed; the end neither waits for it nor complains."""
    with open_booth(tmp_path, "submit-accept-then-timeout") as booth:
        connection = socket.create_connection(booth._address, timeout=10.0)
        connection.sendall(booth.raw_submit())
        booth.until_charged(1)
        began = time.monotonic()
    with connection:
        assert time.monotonic() - began < 1.5
        assert everything(connection) == b""


def test_server_ends_cleanly_while_nobody_reads_an_endless_answer(tmp_path: Path) -> None:
    """A caller that has stopped reading is not waited for beyond the grace, and nothing is reported."""
    with open_booth(tmp_path, "download-endless") as booth:
        url = booth.result()
        connection = socket.create_connection(booth._address, timeout=10.0)
        connection.sendall(booth.raw_get(url))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        began = time.monotonic()
    with connection:
        assert time.monotonic() - began < 5


def test_cut_answer_ends_in_the_middle(tmp_path: Path) -> None:
    """The whole length is announced, half of it comes, and the connection is closed."""
    with open_booth(tmp_path, "submit-accept-then-cut") as booth, booth.line() as connection:
        connection.sendall(booth.raw_submit())
        head, _, body = everything(connection).partition(b"\r\n\r\n")
        announced = int(head.lower().partition(b"content-length: ")[2].split()[0])
        assert head.startswith(b"HTTP/1.1 200")
        assert len(body) == announced // 2
        assert body.startswith(b'{"success":true')


def test_cut_image_is_httpx_remote_protocol_error(tmp_path: Path) -> None:
    """A client that reads to the end learns that it was none."""
    with open_booth(tmp_path, "download-cut") as booth, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(booth.result(), trust_env=False)


def test_slow_answer_comes_in_pieces(tmp_path: Path) -> None:
    """The first kilobyte comes at once and the second not with it; a client that leaves then disturbs nobody."""
    with open_booth(tmp_path, "download-slow") as booth:
        url = booth.result()
        with booth.line() as connection:
            connection.sendall(booth.raw_get(url))
            head, _, body = read_at_least(connection, 1024).partition(b"\r\n\r\n")
            body += read_at_least(connection, 1024 - len(body))
            assert b"Content-Length: ".lower() in head.lower()
            assert len(body) == 1024
            connection.settimeout(0.2)
            with pytest.raises(TimeoutError):
                connection.recv(1)
            assert booth.is_served()
        assert booth.is_served()


def test_padded_answer_has_the_length_that_it_announces(tmp_path: Path) -> None:
    """The right answer, then zeros up to ten mebibytes, and the connection is good for another call."""
    with open_booth(tmp_path, "submit-accept-then-huge@1") as booth, httpx.Client(trust_env=False) as client:
        url, body = f"{booth.simulator.url}/submit", {"data": {"task_list": [booth.order]}}
        answer = client.post(url, json=body, headers=booth._headers())
        assert answer.headers["Content-Length"] == str(10 * 2**20) == str(len(answer.content))
        assert json.loads(answer.content.rstrip(b"\0"))["success"] is True
        assert client.post(url, json=body, headers=booth._headers()).status_code == 200


@pytest.mark.parametrize(("rule", "announced"), [("download-oversized", b"64000000"), ("download-endless", None)])
def test_client_may_leave_a_padded_answer_early(tmp_path: Path, rule: str, announced: bytes | None) -> None:
    """A megabyte is enough to see: whoever goes away then, or just stops reading, keeps nobody from being served."""
    with open_booth(tmp_path, rule) as booth:
        url = booth.result()
        with booth.line() as reader, booth.line() as idler:
            idler.sendall(booth.raw_get(url))
            assert idler.recv(1000).startswith(b"HTTP/1.1 200")
            reader.sendall(booth.raw_get(url))
            received = read_at_least(reader, 1 << 20)
            head = received.partition(b"\r\n\r\n")[0].lower()
            length = head.partition(b"content-length: ")[2].split()[:1]
            assert length == ([announced] if announced else [])
            assert received.endswith(bytes(1000))
            assert booth.is_served()
        assert booth.submit().status_code == 200


def test_caller_that_breaks_off_its_own_call_disturbs_nobody(tmp_path: Path) -> None:
    """Half a submission, half a wish: the server goes on, and nothing is charged."""
    with open_booth(tmp_path) as booth:
        for request in (booth.raw_submit()[:-30], booth._raw("POST", "/_sim/control", b'{"credits": 0}')[:-5]):
            with booth.line() as connection:
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
                everything(connection)
        assert booth.is_served()
        assert booth.simulator.ledger()["charged"] == 0
        assert booth.submit().status_code == 200


def test_wishes_reach_a_running_simulator(tmp_path: Path) -> None:
    """`RunningSimulator.control` changes it, and a bad wish is the same error as in Python, with nothing changed."""
    with open_booth(tmp_path) as booth:
        booth.simulator.control(scenarios=["submit-500@1"], credits=1)
        with pytest.raises(httpx.HTTPStatusError, match="500"):
            booth.submit().raise_for_status()
        with pytest.raises(ValueError, match="the nearest is submit-500"):
            booth.simulator.control(scenarios=["submit-5000"], credits=0)
        with pytest.raises(ValueError, match="'seed' cannot be changed"):
            booth.simulator.control(seed=1)
        assert [booth.submit().status_code for _ in range(2)] == [200, 403]
