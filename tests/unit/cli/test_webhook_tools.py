"""The commands for who writes a receiver: explain a webhook, make one, and pass those that arrive on."""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sceneshift.cli.webhooks.forwarding import forward_to, is_wanted
from sceneshift.cli.webhooks.listen import webhook_server
from sceneshift.settings import current_settings
from sceneshift.webhooks import EVENT_TYPES, sign, verify
from sceneshift.webhooks.posting import Endpoint
from sceneshift.webhooks.samples import SAMPLE_TYPES, sample_data
from tests.loopback import Listener, answer
from tests.unit.test_webhook_schemas import is_valid, sent
from tests.webhook_material import NOW, OLD_SECRET, PAYLOAD, SECRET, STRANGERS_SECRET
from tests.webhook_vectors import PAIR, content, public_text, v1a

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A developer's machine: two secrets while one replaces the other, and webhooks to itself allowed."""
    monkeypatch.setenv("SCENESHIFT_WEBHOOK_SECRET", f"{SECRET} {OLD_SECRET}")
    monkeypatch.setenv("SCENESHIFT_ALLOW_HOSTS", "127.0.0.1")
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


# verify


def kept(directory: Path, body: bytes = PAYLOAD, *, age_seconds: float = 0, lines: bool = False) -> list[str]:
    """The options that name a webhook that was kept in files so long after it was signed."""
    headers = sign(body, webhook_id="evt_1", timestamp=int(time.time() - age_seconds), secrets=[SECRET])
    (directory / "body").write_bytes(body)
    text = "\n".join(["POST / HTTP/1.1", *(f"{name.title()}:  {value}" for name, value in headers.items())])
    (directory / "headers").write_text(text if lines else json.dumps(headers))
    return ["--body", str(directory / "body"), "--headers", str(directory / "headers")]


@pytest.mark.parametrize("lines", [False, True])
def test_verify_says_that_a_webhook_is_authentic(run: Run, tmp_path: Path, *, lines: bool) -> None:
    """With the headers as JSON or as lines, a right webhook passes every check, and the exit code is 0."""
    code, shown, _ = run("webhooks", "verify", *kept(tmp_path, lines=lines))
    assert code == 0
    assert "FAILED" not in shown
    assert shown.endswith("\nauthentic\n")


def test_verify_explains_what_failed(run: Run, tmp_path: Path) -> None:
    """Of a webhook that came too late, both is said: its age, and that the signature is right."""
    code, shown, _ = run("webhooks", "verify", *kept(tmp_path, age_seconds=412))
    assert code == 1
    assert re.search(r"^FAILED  timestamp  webhook-timestamp is 41[2-9] s old; 300 s are allowed$", shown, re.MULTILINE)
    assert "ok      signature  signature 1 of 1 is by secret 1 of 2" in shown
    code, text, _ = run("webhooks", "verify", *kept(tmp_path, age_seconds=412), "--json")
    document = json.loads(text)
    assert (code, document["authentic"], document["failed"]) == (1, False, ["timestamp_out_of_tolerance"])
    assert run("webhooks", "verify", *kept(tmp_path, age_seconds=412), "--tolerance", "500")[0] == 0
    assert run("webhooks", "verify", *kept(tmp_path, age_seconds=412), "--at", "400s")[0] == 0


def test_verify_with_other_keys(run: Run, tmp_path: Path) -> None:
    """A file of secrets takes the place of the setting, and so does a public key; a stranger's secret fails."""
    secrets = tmp_path / "secrets"
    secrets.write_text(f"{STRANGERS_SECRET}\n{SECRET}\n")
    assert run("webhooks", "verify", *kept(tmp_path), "--secret-file", str(secrets))[0] == 0
    secrets.write_text(STRANGERS_SECRET)
    assert run("webhooks", "verify", *kept(tmp_path), "--secret-file", str(secrets))[0] == 1
    assert run("webhooks", "verify", *kept(tmp_path), "--secret-file", str(tmp_path / "none"))[0] == 2
    now = int(time.time())
    lines = ["webhook-id: evt_1", f"webhook-timestamp: {now}"]
    lines.append(f"webhook-signature: {v1a(PAIR, content(PAYLOAD, 'evt_1', now))}")
    given = [part for line in lines for part in ("--header", line)]
    code, shown, _ = run("webhooks", "verify", *kept(tmp_path)[:2], *given, "--public-key", public_text(PAIR))
    assert code == 0, shown


def test_verify_takes_the_body_from_standard_input(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body can be piped in, byte for byte."""
    body = '{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z","data":{"ü":1.0}}\r\n'.encode()
    options = kept(tmp_path, body)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(body)))
    assert run("webhooks", "verify", *options[2:])[0] == 0


# trigger


@pytest.mark.parametrize("type_", SAMPLE_TYPES)
def test_samples_are_what_receivers_get(type_: str) -> None:
    """Each sample passes the published schema of its type."""
    assert is_valid(type_, sent(type_, sample_data(type_, occurred_at=NOW)))


def test_every_type_has_a_sample() -> None:
    """Whatever is sent can be tried; there is no sample of anything else."""
    assert set(SAMPLE_TYPES) == set(EVENT_TYPES)
    with pytest.raises(ValueError, match="is not one of"):
        sample_data("job.teleported", occurred_at=NOW)


def received(request: bytes) -> tuple[dict[str, str], bytes]:
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines}, body


def test_trigger_sends_a_signed_sample(run: Run) -> None:
    """An endpoint gets a request that verifies, with the fields that were asked for, and its answer is shown."""
    with Listener(answer(b"well\x1b[1m", status="202 Accepted")) as listener:
        url = f"http://127.0.0.1:{listener.port}/hook"
        code, shown, _ = run(
            "webhooks", "trigger", "job.completed", "--to", url, "--id", "evt_again",
            "--override", "data.sku=ÜBER-1", "--override", "data.outputs.0.width=512", "--override", "data.new=null",
        )  # fmt: skip
    headers, body = received(listener.requests[0])
    event: Any = verify(body, headers, OLD_SECRET)
    assert (code, event.id, event.data.sku, event.data.outputs[0].width) == (0, "evt_again", "ÜBER-1", 512)
    assert event.data.raw["new"] is None
    assert shown.startswith("202 after ")
    assert "\x1b" not in shown


def test_trigger_fails_when_the_endpoint_does(run: Run) -> None:
    """An answer other than 2xx is the exit code 1; no answer, and an address that is not allowed, are errors."""
    with Listener(answer(status="500 Oops")) as listener:
        code, text, _ = run(
            "webhooks", "trigger", "webhook.test", "--to", f"http://127.0.0.1:{listener.port}/", "--json"
        )
    document = json.loads(text)
    assert (code, document["status"], set(document)) == (1, 500, {"id", "status", "latency_ms", "answer"})
    code, shown, said = run("webhooks", "trigger", "webhook.test", "--to", "http://192.168.7.7/")
    assert (code, shown) == (2, "")
    assert "192.168.7.7: private" in said


def test_trigger_prints_a_command(run: Run, tmp_path: Path) -> None:
    """Without an address, what is printed is a request that verifies, ready for a shell."""
    code, shown, _ = run("webhooks", "trigger", "job.failed", "--override", "data.sku=it's")
    words = shlex.split(shown.replace("\\\n", ""))
    given = {name: value for name, _, value in (words[i + 1].partition(": ") for i, w in enumerate(words) if w == "-H")}
    event: Any = verify(words[words.index("--data-binary") + 1].encode(), given, SECRET)
    assert (code, words[:3], event.type, event.data.sku) == (0, ["curl", "-i", "URL"], "job.failed", "it's")
    (tmp_path / "secret").write_text(STRANGERS_SECRET)
    text = run("webhooks", "trigger", "job.failed", "--json", "--secret-file", str(tmp_path / "secret"))[1]
    document = json.loads(text)
    assert verify(document["body"].encode(), document["headers"], STRANGERS_SECRET).type == "job.failed"


@pytest.mark.parametrize(
    "override", ["", "=", "data", "data..sku=1", "data.outputs.7.width=1", "data.outputs.x=1", "data.sku.a=1", "a.b=1"]
)
def test_overrides_that_lead_nowhere(run: Run, override: str) -> None:
    """A name that is not in the event is an error of usage, and nothing is sent."""
    code, shown, said = run("webhooks", "trigger", "job.completed", "--override", override)
    assert (code, shown) == (2, "")
    assert "--override" in said


# listen


@contextmanager
def listening(pass_on: Callable[..., int]) -> Iterator[Endpoint]:
    """The server of `listen`, with the passing on that a test asks for."""
    with webhook_server("127.0.0.1", 0, [SECRET], lambda _event, _error: None, pass_on) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Endpoint(f"http://127.0.0.1:{server.server_port}/")
        finally:
            server.shutdown()
            thread.join()


def test_listen_passes_verified_webhooks_on_as_they_came() -> None:
    """The application gets the same bytes and headers, so that it can verify, and its answer is the sender's."""
    body = '{"type":"webhook.test","timestamp":"2026-11-23T00:00:00Z" ,"data":{"ü":1.0}}\n'.encode()
    headers = sign(body, webhook_id="evt_1", timestamp=int(time.time()), secrets=[SECRET])
    with (
        Listener(answer(status="418 Teapot")) as application,
        listening(forward_to(f"http://127.0.0.1:{application.port}/hook")) as endpoint,
    ):
        assert endpoint(body, {"X-Trace": "7", **headers}) == 418
        assert endpoint(body + b" ", headers) == 401
    [request] = application.requests
    assert request.startswith(b"POST /hook HTTP/1.1")
    given, came = received(request)
    assert came == body
    assert verify(came, given, SECRET).id == "evt_1"
    assert given["x-trace"] == "7"
    assert given["host"] == f"127.0.0.1:{application.port}"


def test_listen_says_that_the_application_did_not_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """When nobody answers there, the sender gets a 502 and tries again later."""
    headers = sign(PAYLOAD, webhook_id="evt_1", timestamp=int(time.time()), secrets=[SECRET])
    with Listener(b"") as gone:
        port = gone.port
    with listening(forward_to(f"http://127.0.0.1:{port}/")) as endpoint:
        assert endpoint(PAYLOAD, headers) == 502
    assert "no answer to evt_1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("patterns", "wanted"),
    [((), True), (("job.completed",), True), (("job.*",), True), (("batch.*", "job.failed"), False), (("job",), False)],
)
def test_listen_to_some_types(patterns: tuple[str, ...], *, wanted: bool) -> None:
    """Types are chosen by name or by pattern, and all are wanted when none is named."""
    assert is_wanted("job.completed", patterns) is wanted


def test_listen_refuses_what_is_no_address(run: Run) -> None:
    """A text that is no URL ends the command before it listens."""
    code, _, said = run("webhooks", "listen", "--port", "0", "--forward-to", "shop")
    assert code == 2
    assert "is not a URL" in said


def test_listen_refuses_a_type_that_does_not_exist(run: Run) -> None:
    """A mistyped type would wait for ever."""
    code, _, said = run("webhooks", "listen", "--port", "0", "--events", "job.complete")
    assert code == 2
    assert "'job.complete' matches no type; there are job.completed" in said


def test_a_malformed_secret_is_named_by_its_place(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting or the file is said, and which secret in it; never the secret."""
    (tmp_path / "secrets").write_text(f"{SECRET}\nwhsec_canary\n")
    for command in (["verify"], ["trigger", "webhook.test"], ["listen", "--port", "0"]):
        code, _, said = run("webhooks", *command, "--secret-file", str(tmp_path / "secrets"))
        assert code == 2
        assert said.startswith(f"error: {tmp_path / 'secrets'}, 2 of 2: ")
        assert "canary" not in said
    monkeypatch.setenv("SCENESHIFT_WEBHOOK_SECRET", "canary")
    current_settings.cache_clear()
    assert run("webhooks", "trigger", "webhook.test")[2].startswith("error: SCENESHIFT_WEBHOOK_SECRET: ")


@pytest.mark.parametrize(("url", "why"), [("shop", "not an absolute URL"), ("http://10.0.0.1/", "10.0.0.1: private")])
def test_trigger_says_why_it_does_not_send_there(run: Run, url: str, why: str) -> None:
    """A text that is no URL, or an address that workers do not call, is wrong usage; the setting for it is named."""
    code, shown, said = run("webhooks", "trigger", "webhook.test", "--to", url)
    assert (code, shown) == (2, "")
    assert said.startswith("error: to: ")
    assert "SCENESHIFT_ALLOW_HOSTS" in said
    assert why in said


def test_commands_that_need_a_secret_say_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any secret, nothing is verified, signed or listened to, and the remedy is named."""
    monkeypatch.delenv("SCENESHIFT_WEBHOOK_SECRET")
    current_settings.cache_clear()
    for command in (["verify"], ["trigger", "webhook.test"], ["listen", "--port", "0"]):
        code, _, said = run("webhooks", *command)
        assert code == 2
        assert "set SCENESHIFT_WEBHOOK_SECRET" in said
