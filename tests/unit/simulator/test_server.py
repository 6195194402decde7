"""The simulator on a real socket, in a thread and as the command line's process."""

from __future__ import annotations

import io
import re
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from PIL import Image

from sceneshift.cli.simulator import command
from sceneshift.errors import ConfigurationError
from sceneshift.simulator import RunningSimulator, SimulatorConfig, SimulatorTransport, running_simulator
from sceneshift.simulator.server import _Server, listen
from tests.unit.simulator.support import START, item, mask, photo


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    (tmp_path / "box.png").write_bytes(photo())
    (tmp_path / "box.mask.png").write_bytes(mask())
    return tmp_path


def call(simulator: RunningSimulator, endpoint: str, data: dict[str, Any]) -> httpx.Response:
    headers = {"Authorization": f"APPCODE {simulator.appcode}", "X-Ca-Nonce": str(uuid.uuid4())}
    return httpx.post(f"{simulator.url}/{endpoint}", json={"data": data}, headers=headers, trust_env=False)


def test_whole_life_over_a_socket(catalogue: Path) -> None:
    """A submission of the simulator's own catalogue is accepted, found done, and its picture fetched."""
    now = START
    with running_simulator(SimulatorConfig(catalogue=catalogue, appcode="secret"), clock=lambda: now) as simulator:
        address = f"{simulator.base_url}/catalogue"
        order = item(image=f"{address}/box.png", mask=f"{address}/box.mask.png", num_output=1)
        key = call(simulator, "submit", {"task_list": [order]}).json()["data"]["result_key"]
        now += 3000.0
        (task,) = call(simulator, "query", {"result_key": key}).json()["data"]["task_list"]
        picture = httpx.get(task["results"][0], trust_env=False)
        ledger = simulator.ledger()
    assert task["results"][0].startswith(f"{simulator.base_url}/results/{key}/0.png?")
    with Image.open(io.BytesIO(picture.content)) as opened:
        assert opened.format == "PNG"
    assert (ledger["charged"], ledger["submits"][0]["result_key"]) == (1, key)


def test_missing_catalogue_picture_is_unreachable(catalogue: Path) -> None:
    """An address of the catalogue that names no file is a plain 404, and an unreachable image to a submission."""
    with running_simulator(SimulatorConfig(catalogue=catalogue)) as simulator:
        address = f"{simulator.base_url}/catalogue/none.png"
        assert httpx.get(address, trust_env=False).status_code == 404
        answer = call(simulator, "submit", {"task_list": [item(image=address, mask=address)]})
    assert answer.json()["code"] == 23500006


@pytest.mark.parametrize(
    "wishes",
    [{"advance_seconds": float("nan")}, {"advance": 5}, {"credits": "5"}, {"scenarios": "query-500"}, {"credits": {1}}],
    ids=str,
)
def test_bad_wish_over_a_socket_is_a_configuration_error(wishes: dict[str, Any]) -> None:
    """It is refused by the sentence of the transport, before anything is sent."""
    nobody = RunningSimulator(base_url="http://127.0.0.1:9", appcode="given")
    with SimulatorTransport() as transport, pytest.raises(ConfigurationError) as refused:
        transport.control(**wishes)
    with pytest.raises(ConfigurationError, match=re.escape(refused.value.message)):
        nobody.control(**wishes)


def test_wishes_over_a_socket_are_fulfilled_or_refused() -> None:
    """Rules may be a tuple, and a rule that cannot be read is named."""
    with running_simulator() as simulator:
        simulator.control(scenarios=("query-error-unauthorized",))
        assert call(simulator, "query", {"result_key": "none"}).status_code == 401
        with pytest.raises(ConfigurationError, match="nonsense"):
            simulator.control(scenarios=["nonsense"])


def test_port_is_free_again_after_the_block() -> None:
    """When the block ends, nothing listens any more."""
    with running_simulator() as simulator:
        assert httpx.get(f"{simulator.base_url}/healthz", trust_env=False).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulator.base_url}/healthz", trust_env=False)


RUN_COMMAND = "from sceneshift.cli.simulator import command; command()"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_command_says_where_it_listens_and_ends_on_a_signal(ending: signal.Signals, catalogue: Path) -> None:
    """One line on stdout names the address; the process serves, and ends with 0 on SIGTERM and SIGINT."""
    arguments = ["--port", "0", "--appcode", "given", "--catalogue", str(catalogue)]
    process = subprocess.Popen(
        [sys.executable, "-c", RUN_COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"simulator listening on (http://127\.0\.0\.1:\d+)/api/v1/bg-rep\n", line)
            assert found is not None, line
            simulator = RunningSimulator(base_url=found[1], appcode="given")
            assert call(simulator, "query", {"result_key": "none"}).json()["code"] == 23500008
            process.send_signal(ending)
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, rest) == (0, "")


def test_listener_says_that_it_is_tcp() -> None:
    """Without it asyncio leaves Nagle's delay on, and every call on a kept connection takes 40 ms."""
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_idle_connections_are_kept_longer_than_clients_keep_them() -> None:
    """A server that closes an idle connection first now and then drops a call that nobody asked it to drop."""
    server = _Server(SimulatorConfig(), clock=lambda: START, on_ready=lambda: None)
    kept_by_clients = httpx.Limits().keepalive_expiry
    assert kept_by_clients is not None
    assert server.config.timeout_keep_alive > 2 * kept_by_clients


def test_taken_port_is_one_sentence() -> None:
    """A port in use ends the command with a sentence that names it, not with a traceback."""
    with listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        result = CliRunner().invoke(command, ["--port", str(port), "--appcode", "given"])
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.output


def test_package_imports_without_a_web_server() -> None:
    """Neither the package nor the command's module loads starlette, uvicorn or Pillow before they are needed."""
    program = (
        "import sys, sceneshift, sceneshift.simulator, sceneshift.cli.simulator; "
        "sys.exit(','.join({'starlette', 'uvicorn', 'PIL'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stderr.strip(), done.returncode) == ("", 0)


@pytest.mark.parametrize("module", ["httpx", "starlette", "PIL"])
def test_missing_extra_is_one_sentence(module: str) -> None:
    """Without a module of the extra, Python and the command say which, and how it is installed from a clone."""
    hide = f"import sys; sys.modules[{module!r}] = None; "
    programs = ["from sceneshift.simulator import SimulatorTransport", f"{RUN_COMMAND}"]
    for program in programs:
        done = subprocess.run(
            [sys.executable, "-c", hide + program], capture_output=True, text=True, check=False, timeout=60
        )
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1
        assert f"{module} is missing: it comes with the extra `simulator`" in last
        assert "pip install '.[simulator]'" in last
        assert "ModuleNotFoundError" not in done.stderr


def test_configuration_needs_no_extra() -> None:
    """What is chosen can be read and checked without a web server."""
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['httpx', 'starlette', 'uvicorn', 'PIL'])); "
        "from sceneshift.simulator import SimulatorConfig; SimulatorConfig()"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
