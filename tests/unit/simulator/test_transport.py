"""The simulator as an httpx transport: many clients and threads, one simulator, no socket, no waiting."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from sceneshift.errors import ConfigurationError
from sceneshift.simulator import SimulatorConfig, SimulatorTransport
from tests.unit.simulator.support import BASE_URL, Desk, item, mask, open_desk, photo

ROOT = Path(__file__).resolve().parents[3]


def test_sixteen_threads_are_served_at_once(desk: Desk) -> None:
    """Of 320 submissions from 16 threads each has a key of its own, and the ledger has them all."""

    def submit_twenty(_number: int) -> list[str]:
        return [desk.accepted(item(num_output=1)) for _ in range(20)]

    with ThreadPoolExecutor(16) as threads:
        keys = [key for each in threads.map(submit_twenty, range(16)) for key in each]
    assert len(set(keys)) == 320
    assert desk.simulator.ledger.totals() == {"charged": 320, "accepted": 320, "queries": 0, "downloads": 0}
    assert all(account.charged == 1 for account in desk.simulator.ledger.by_nonce().values())


def test_wishes_from_other_threads_do_not_meet_calls_half_way(desk: Desk) -> None:
    """While one thread submits, another makes the provider forget: every call is answered as before or as after."""
    stop = threading.Event()

    def forget() -> None:
        while not stop.is_set():
            desk.simulator.control(forget_results=True, forget_nonces=True)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        statuses = {desk.query(desk.accepted()).status_code for _ in range(60)}
        states = [desk.state()["running"] for _ in range(20)]
    finally:
        stop.set()
        thread.join()
    assert statuses <= {200, 400}
    assert all(0 <= running <= 1 for running in states)


def test_silence_is_a_time_out_at_once() -> None:
    """A read time-out of an hour is over before anybody could wait for it, and the submission is charged."""
    with open_desk(scenarios=("submit-accept-then-timeout",)) as desk:
        began = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            desk.request(
                "POST", "/api/v1/bg-rep/submit", json={"data": {"task_list": [item()]}}, headers=desk.headers(),
                timeout=3000.0,
            )  # fmt: skip
        assert time.monotonic() - began < 10
        assert desk.ledger()["charged"] == 1


def test_silence_without_a_time_out_ends_with_a_closed_connection() -> None:
    """A client that would wait for ever sees what it would see at last."""
    with open_desk(scenarios=("query-timeout",)) as desk:
        key = desk.accepted()
        with pytest.raises(httpx.RemoteProtocolError):
            desk.request(
                "POST", "/api/v1/bg-rep/query", json={"data": {"result_key": key}}, headers=desk.headers(), timeout=None
            )


def test_slow_body_is_whole_for_the_patient_and_a_time_out_for_others() -> None:
    """Pauses of a second are nothing for a read time-out above them, and a silence for one below."""
    with open_desk(scenarios=("download-slow",), quality="draft") as desk:
        (url,) = desk.results(desk.finished(item(num_output=1)))
        began = time.monotonic()
        assert desk.request("GET", url, timeout=1.5).content.endswith(b"IEND\xaeB`\x82")
        assert time.monotonic() - began < 10
        received = bytearray()
        with pytest.raises(httpx.ReadTimeout):
            desk.download(url, received, timeout=0.5)
        assert len(received) == 1024


def test_connection_that_is_cut_gives_what_had_come() -> None:
    """Half of the image arrives, then the error of a closed connection."""
    with open_desk(scenarios=("download-cut@2",), quality="draft") as desk:
        (url,) = desk.results(desk.finished(item(num_output=1)))
        whole, received = desk.request("GET", url).content, bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            desk.download(url, received)
        assert received == whole[: len(whole) // 2]


def test_head_has_the_headers_alone() -> None:
    """As over a socket, a HEAD has no body."""
    with open_desk(quality="draft") as desk:
        (url,) = desk.results(desk.finished(item(num_output=1)))
        answer = desk.request("HEAD", url)
        assert (answer.status_code, answer.headers["Content-Type"], answer.content) == (200, "image/png", b"")


def fetch(url: str) -> bytes:
    return mask() if "mask" in url else photo()


def test_one_simulator_serves_client_after_client() -> None:
    """Inside its own block a simulator outlives its clients, whichever way they end."""
    with SimulatorTransport(fetch=fetch) as simulator:
        for _ in range(2):
            with httpx.Client(transport=simulator, base_url=BASE_URL) as client:
                assert client.get("/healthz").status_code == 200
            client = httpx.Client(transport=simulator, base_url=BASE_URL)
            assert client.get("/healthz").status_code == 200
            client.close()
    with pytest.raises(RuntimeError, match="closed"):
        httpx.Client(transport=simulator, base_url=BASE_URL).get("/healthz")


def test_without_a_block_close_ends_it_once_and_for_all() -> None:
    """A simulator that a client owns ends with the client; closing it again does nothing, and no thread is left."""
    before = set(threading.enumerate())
    simulator = SimulatorTransport(fetch=fetch)
    with httpx.Client(transport=simulator, base_url=BASE_URL) as client:
        assert client.get("/healthz").status_code == 200
    simulator.close()
    with pytest.raises(RuntimeError, match="closed"):
        simulator.control(credits=1)
    assert {thread for thread in threading.enumerate() if thread.name == "simulator"} <= before


def test_simulator_that_nobody_closes_lets_its_process_end() -> None:
    """Forgetting to close it costs nothing."""
    program = (
        "from tests.unit.simulator.support import Desk; from sceneshift.simulator import SimulatorConfig; "
        "desk = Desk(SimulatorConfig()); desk.accepted(); print('accepted')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "accepted\n", "")


def test_calls_under_way_are_given_up_at_the_end(desk: Desk) -> None:
    """Closing does not wait for a picture that takes its time: the caller gets an error."""
    began, may_go_on = threading.Event(), threading.Event()

    def slow(url: str) -> bytes:
        began.set()
        assert may_go_on.wait(20)
        return fetch(url)

    simulator = SimulatorTransport(fetch=slow)
    body = {"data": {"task_list": [item()]}}
    client = httpx.Client(transport=simulator, base_url=BASE_URL, headers=desk.headers())
    with ThreadPoolExecutor(2) as threads:
        call = threads.submit(client.post, "/api/v1/bg-rep/submit", json=body)
        assert began.wait(20)
        closing = threads.submit(simulator.close)
        may_go_on.set()
        closing.result(20)
        assert call.exception(20) is not None


@pytest.mark.parametrize("wishes", [{"scenarios": "submit-drop"}, {"credits": -1}, {"seed": 1}, {"scenarios": ["no"]}])
def test_bad_wish_in_python_is_a_configuration_error(desk: Desk, wishes: dict[str, object]) -> None:
    """What HTTP answers with 400 is refused here by the same sentence."""
    with pytest.raises(ConfigurationError) as refused:
        desk.simulator.control(**wishes)
    assert refused.value.message == desk.control(wishes).json()["error"]


def test_rules_may_be_a_tuple(desk: Desk) -> None:
    """As in the configuration."""
    desk.simulator.control(scenarios=("submit-500",))
    assert desk.submit().status_code == 500


def test_bad_configuration_starts_no_thread() -> None:
    """A rule that cannot be read leaves nothing behind."""
    before = threading.active_count()
    with pytest.raises(ConfigurationError):
        SimulatorTransport(SimulatorConfig(scenarios=("nonsense",)))
    assert threading.active_count() == before


def test_clock_and_pictures_are_the_callers(desk: Desk) -> None:
    """Time is read from the clock that was given, and pictures come from the function that was given."""
    key = desk.accepted()
    assert set(desk.fetched) == {item()["image"], item()["mask"]}
    desk.now += 1e6
    assert desk.query(key).json()["code"] == 23500008
