"""The compose file is valid, means what it says, and gives nothing away that it need not."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from ops import make_secrets
from sceneshift.settings import PREFIX, Settings
from tests.unit.ops import compose_file

SERVICES = compose_file.services()
OURS = sorted(name for name, service in SERVICES.items() if compose_file.is_ours(service))
COMMAND_LINES = sorted({tuple(compose_file.command(SERVICES[name])) for name in OURS})
SERVICE_ENTRY = compose_file.ROOT / "workers/app.py"


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    list(make_secrets.write_missing(tmp_path))
    return tmp_path


def names_in(service: dict[str, Any], key: str) -> set[str]:
    return set(service.get(key, ()))


def mounted_volumes(service: dict[str, Any]) -> set[str]:
    return {text.partition(":")[0] for text in service.get("volumes", ()) if not text.startswith("/")}


def test_file_is_valid_compose() -> None:
    """The file follows the compose specification."""
    tool = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [tool, "--builtin-schema", "vendor.compose-spec", compose_file.PATH],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_name_is_declared_and_used() -> None:
    """A volume, secret, network or service that is named exists, and none is declared for nothing."""
    document = compose_file.compose()
    used: dict[str, set[str]] = {"volumes": set(), "secrets": set(), "networks": set()}
    for service in SERVICES.values():
        used["volumes"] |= mounted_volumes(service)
        used["secrets"] |= names_in(service, "secrets")
        used["networks"] |= names_in(service, "networks")
        assert names_in(service, "depends_on") <= set(SERVICES)
    assert used == {kind: set(document[kind]) for kind in used}
    assert "version" not in document


def test_dependency_conditions_can_come_true() -> None:
    """One-shots are waited for until they have ended well, servers until they are healthy."""
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            one_shot = compose_file.is_one_shot(SERVICES[name])
            assert dependency["condition"] == ("service_completed_successfully" if one_shot else "service_healthy")


def test_ordinary_services_do_not_wait_for_the_demo() -> None:
    """Without the demo profile nothing depends on a service of the demo."""
    for service in SERVICES.values():
        if "profiles" not in service:
            assert not any("profiles" in SERVICES[name] for name in names_in(service, "depends_on"))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_confined(name: str) -> None:
    """Every container is non-root, read-only, without capabilities, and bounded."""
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert "privileged" not in service
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert not any("docker.sock" in volume for volume in service.get("volumes", ()))
    if compose_file.is_ours(service):
        assert service["user"] == "10001:10001"


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_loopback_only(name: str) -> None:
    """No port is open to another machine."""
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_service_is_watched(name: str) -> None:
    """Every server has a health check and comes back when it ends; one-shots have neither."""
    service = SERVICES[name]
    if compose_file.is_one_shot(service):
        assert "healthcheck" not in service
    else:
        assert {"test", "interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_foreign_images_are_pinned(name: str) -> None:
    """An image of somebody else has an exact version, so that the same file starts the same programs next year."""
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?(-alpine)?", SERVICES[name]["image"])


def test_redis_servers_are_on_a_network_of_their_own() -> None:
    """The job store and the broker are reached from inside only, and not by those who play strangers."""
    assert compose_file.compose()["networks"]["data"] == {"internal": True}
    for name in ("state", "broker"):
        assert SERVICES[name]["networks"] == ["data"]
        assert "ports" not in SERVICES[name]
    assert {name for name, service in SERVICES.items() if "data" in service["networks"]} == {
        "state", "broker", "worker", "flower", "demo-jobs",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_hosts_are_within_reach(name: str, secrets: Path) -> None:
    """A service shares a network with every other service whose URL it is given."""
    service = SERVICES[name]
    texts = [*compose_file.command(service), *compose_file.environment(service).values()]
    texts += [(secrets / secret).read_text() for secret in names_in(service, "secrets")]
    hosts = {match["host"] for text in texts for match in compose_file.URL_HOST.finditer(text)} & set(SERVICES)
    # An order of the demo names the photos' host, and where webhooks go: others fetch and send.
    passed_on = {"simulator", "webhook-sink"} if name == "demo-jobs" else set()
    for host in hosts - passed_on:
        assert set(service["networks"]) & set(SERVICES[host]["networks"]), host


@pytest.mark.parametrize("name", OURS)
def test_settings_are_understood(name: str, secrets: Path) -> None:
    """Every SCENESHIFT_ variable is a setting, and the values of the file and of fresh secrets are accepted."""
    variables = compose_file.environment(SERVICES[name], secrets)
    settings = Settings.from_env({key: value for key, value in variables.items() if key.startswith(PREFIX)})
    if "SCENESHIFT_REDIS_URL_FILE" in variables:
        assert "@state:6379/" in settings.redis_url.get_secret_value()
    if "SCENESHIFT_BROKER_URL_FILE" in variables:
        assert "@broker:6379/" in settings.effective_broker_url


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_secret_files_are_mounted_where_they_are_read(name: str) -> None:
    """A service has exactly the secrets whose paths it is given."""
    service = SERVICES[name]
    text = " ".join([*compose_file.command(service), *compose_file.environment(service).values()])
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == names_in(service, "secrets")


def test_no_secret_is_in_the_environment() -> None:
    """What `docker inspect` shows of a container are paths of secrets, never secrets."""
    for service in SERVICES.values():
        for name in compose_file.environment(service):
            assert not re.search(r"PASSWORD|SECRET|APPCODE|AUTH|REDIS_URL|BROKER_URL", name) or name.endswith("_FILE")


def test_secret_files_are_those_that_are_written(secrets: Path) -> None:
    """Each secret of the file is one that make_secrets writes, below its directory."""
    declared = compose_file.compose()["secrets"]
    assert {path.name for path in secrets.iterdir()} - {".gitignore"} == set(declared)
    for name, secret in declared.items():
        assert compose_file.ROOT / secret["file"] == make_secrets.DIRECTORY / name


def test_demo_speaks_to_its_simulator_with_the_right_appcode(secrets: Path) -> None:
    """A fresh set of secrets lets the worker in at the simulator."""
    words = compose_file.command(SERVICES["simulator"])
    assert words[words.index("--appcode") + 1] == (secrets / "provider_appcode").read_text().strip()


@pytest.mark.parametrize("words", COMMAND_LINES, ids=" ".join)
def test_command_line_is_real(words: tuple[str, ...]) -> None:
    """Each command exists, with each of its options."""
    if words[0] == "sceneshift":
        subcommands = [word for word in words[1:3] if not word.startswith("-")]
        options = [word for word in words if word.startswith("--")]
        done = subprocess.run(
            [sys.executable, "-m", "sceneshift", *subcommands, "--help"],
            cwd=compose_file.ROOT,
            env={**os.environ, "PYTHONPATH": str(compose_file.ROOT), "COLUMNS": "200"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert [option for option in options if option not in done.stdout] == []
    elif words[0] == "celery":
        assert words[3] in {entry.name for entry in entry_points(group="celery.commands")}
        assert (compose_file.ROOT / words[4].removeprefix("--conf=")).is_file()
    else:
        assert words[:2] == ("python", "-m")
        assert importlib.util.find_spec(words[2])


def test_health_checks_are_real() -> None:
    """Each program that a health check of ours runs is there."""
    modules = {SERVICES[name]["healthcheck"]["test"][3] for name in OURS if "healthcheck" in SERVICES[name]}
    if not SERVICE_ENTRY.exists():
        modules.discard("workers.health")
    for module in modules:
        assert importlib.util.find_spec(module), module
