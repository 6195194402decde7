"""The image is built from pinned parts only, carries no secret, and runs as nobody in particular."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.unit.ops.compose_file import ROOT

Instruction = tuple[str, str]


def instructions() -> list[Instruction]:
    text = (ROOT / "ops/Dockerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    lines = [line.strip() for line in joined.splitlines() if line.strip()]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def last_stage() -> list[Instruction]:
    everything = instructions()
    start = max(index for index, (name, _) in enumerate(everything) if name == "FROM")
    return everything[start:]


def values(name: str, stage: list[Instruction] | None = None) -> list[str]:
    return [value for key, value in (stage or instructions()) if key == name]


def test_base_image_is_pinned() -> None:
    """Both stages start from one Python image with an exact version."""
    assert values("ARG") == [f"PYTHON_IMAGE={value}" for value in re.findall(r"=(\S+)", values("ARG")[0])]
    assert re.fullmatch(r"PYTHON_IMAGE=docker\.io/library/python:3\.\d+\.\d+-slim-\w+", values("ARG")[0])
    assert {value.split()[0] for value in values("FROM")} == {"${PYTHON_IMAGE}"}
    assert "latest" not in (ROOT / "ops/Dockerfile").read_text()


def test_packages_are_installed_by_hash() -> None:
    """Every installation asks for hashes and wheels, except that of the checkout itself, which may fetch nothing."""
    installs = [part for run in values("RUN") for part in run.split("&&") if "pip install" in part]
    assert len(installs) == 3
    for install in installs:
        if "--editable ." in install:
            assert "--no-deps --no-build-isolation" in install
        else:
            assert "--require-hashes --only-binary :all: --requirement requirements/" in install
    assert "apt-get" not in " ".join(values("RUN"))


def test_image_runs_as_a_numbered_user() -> None:
    """The process is not root, and the number lets Kubernetes check that."""
    names = [name for name, _ in last_stage()]
    assert values("USER", last_stage()) == ["10001:10001"]
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in {"COPY", "RUN"})


def test_command_is_in_exec_form() -> None:
    """The program itself gets the signals, not a shell."""
    assert [json.loads(value) for value in values("CMD")] == [["sceneshift", "worker"]]
    assert values("ENTRYPOINT") == []


def test_image_leaves_health_to_each_command() -> None:
    """A health check of the image would call every other command unhealthy."""
    assert values("HEALTHCHECK") == []


def test_code_is_found_before_any_package_of_the_same_name() -> None:
    """`tasks` and `storage` are the checkout's, wherever a command starts."""
    assert values("WORKDIR", last_stage()) == ["/app"]
    assert "PYTHONPATH=/app" in values("ENV", last_stage())[0]
    copied = {value.split()[-1].rstrip("/") for value in values("COPY", last_stage())}
    assert {"sceneshift", "storage", "tasks", "workers", "ops", "examples"} <= copied


def test_no_secret_enters_the_build() -> None:
    """What is copied is on the list of .dockerignore, which lets nothing else in, secrets least of all."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule.removeprefix("!").rstrip("/") for rule in rules if rule.startswith("!")}
    sources = {source.rstrip("/") for value in values("COPY") if "--from" not in value for source in value.split()[:-1]}
    assert sources == allowed
    assert ".secrets" not in allowed
    assert all(Path(ROOT / name).exists() for name in allowed)
    assert values("ADD") == []
    assert not re.search(r"(?i)password|secret|token|appcode", " ".join(value for _, value in instructions()))


def test_image_says_what_it_is() -> None:
    """The labels of the image specification are there."""
    labels = values("LABEL", last_stage())[0]
    for key in ("title", "description", "base.name"):
        assert f"org.opencontainers.image.{key}=" in labels
    base = re.findall(r"base\.name=\"([^\"]+)\"", labels)
    assert [f"PYTHON_IMAGE={value}" for value in base] == values("ARG")
