"""What the documentation names exists, and what must be documented is: pages are compared with the code."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

# jsonschema ships no types, and its stubs are not among the tools of this project.
from jsonschema import validate  # type: ignore[import-untyped]
from packaging.requirements import Requirement

import examples.webhook_receivers.shop as example_shop
import sceneshift.errors
import storage
import tasks
from sceneshift.cli import COMMANDS, cli
from sceneshift.errors import ConfigurationError, InvalidRequestError, SceneshiftError
from sceneshift.jobs import events, faults, gates, polling
from sceneshift.jobs.change import DeliveryDraft
from sceneshift.jobs.decisions import next_step
from sceneshift.jobs.pauses import STRIKES_MAX
from sceneshift.jobs.policy import Policy
from sceneshift.jobs.record import JobFault
from sceneshift.jobs.states import JobState
from sceneshift.jobs.transitions import advance
from sceneshift.provider.protocol import ErrorKind, NotSent, ProviderError, QueryFailed, Refused
from sceneshift.settings import PREFIX, Settings
from sceneshift.store import due
from sceneshift.store.deliveries import delivery_fields, delivery_of
from sceneshift.webhook_bodies import webhook_body
from sceneshift.webhooks import event_payload
from sceneshift.webhooks.consumer_checks import CHECK_NAMES
from sceneshift.webhooks.events import read_event
from sceneshift.webhooks.pytest_plugin import CheckWebhookConsumer
from storage.directory import DirectoryStore
from tests.factories import NOW, a_job, an_output

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
RECEIVERS = ROOT / "examples" / "webhook_receivers"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def section(page: str, heading: str) -> str:
    """The text below this heading, up to the next one that is as high."""
    text = (ROOT / page).read_text(encoding="utf-8")
    level = heading.partition(" ")[0]
    match = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"{page} has no heading {heading!r}"
    return match[1]


def first_column(text: str) -> set[str]:
    """The code words in the first column of the tables in this text."""
    return {
        word for row in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE) for word in re.findall(r"`([^`]+)`", row)
    }  # fmt: skip


# Links


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_link_and_picture_leads_somewhere(page: Path) -> None:
    """Each relative link names a file of the checkout, and each fragment a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if target.startswith(("https://", "http://")):
            continue
        path, _, fragment = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} is not there"
        assert not fragment or fragment in anchors(file), f"{target}: no such heading"


def test_the_index_names_every_page() -> None:
    """From docs/README.md each page can be reached."""
    index = ROOT / "docs" / "README.md"
    linked = re.findall(r"\]\(([^)#]+\.md)\)", index.read_text(encoding="utf-8"))
    assert {(index.parent / target).resolve() for target in linked} >= set(PAGES) - {index, ROOT / "README.md"}


def test_every_guarantee_names_tests_that_exist() -> None:
    """Each row of the README's table links to a file of tests."""
    rows = re.findall(r"^\|(?! promise|---)(.+)\|$", section("README.md", "## What it guarantees"), re.MULTILINE)
    assert rows
    for row in rows:
        files = re.findall(r"\]\((tests/[^)]+)\)", row)
        assert files, row
        assert all("\ndef test_" in (ROOT / file).read_text(encoding="utf-8") for file in files), row


# Python


@each_page
def test_python_examples_compile_and_import_what_exists(page: Path) -> None:
    """Each Python block is valid, and each name that it imports is there."""
    for code in blocks(page.read_text(encoding="utf-8"), "python"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [(node.module, alias.name) for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [(alias.name, "") for alias in node.names]
            else:
                continue
            for module, name in names:
                assert not name or hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_the_webhook_pages_code_is_that_of_the_examples() -> None:
    """What the how-to shows is what was tried, but for remarks to the type checker."""
    shown = blocks((ROOT / "docs/how-to/receive-webhooks.md").read_text(encoding="utf-8"), "python")
    for path in RECEIVERS.glob("*.py"):
        code = re.sub(r"  # type: ignore.*", "", path.read_text(encoding="utf-8"))
        assert code in shown, f"{path.name} is shown otherwise"


def test_the_example_shop_records_each_event_once_and_never_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A duplicate is not news, and an event that comes late does not overwrite a newer state."""
    monkeypatch.setattr(example_shop, "DATABASE", str(tmp_path / "shop.sqlite3"))
    held, done = _event(1, "job.needs_attention", "needs_attention"), _event(2, "job.completed", "succeeded")
    assert [example_shop.record(event) for event in (done, done, held)] == [True, False, False]
    other = _event(1, "webhook.test", "")
    assert [example_shop.record(other), example_shop.record(other)] == [True, False]


def _event(sequence: int, kind: str, state: str) -> Any:
    data = {"job_id": "job_X", "sequence": sequence, "state": state}
    return read_event(f"evt_{kind}_{sequence}", json.loads(event_payload(kind, occurred_at=NOW, data=data)))


def test_the_example_payload_is_what_a_receiver_gets(tmp_path: Path) -> None:
    """The page's payload passes the published schema, and has exactly the fields that a notifying task sends."""
    [text] = blocks((ROOT / "docs/explanation/storage-and-webhooks.md").read_text(encoding="utf-8"), "json")
    example = json.loads(text)
    schema = ROOT / "sceneshift/webhooks/schemas/2026-11-01/job.completed.json"
    validate(example, json.loads(schema.read_text(encoding="utf-8")))
    done = a_job(state=JobState.SUCCEEDED, sequence=1, outputs=(an_output(),))
    draft = DeliveryDraft(
        id="dlv_X_1",
        event_id="evt_X_1",
        type="job.completed",
        sequence=1,
        state=done.state,
        occurred_at=NOW,
        error=None,
    )
    fields = delivery_fields(draft, done)
    delivery = delivery_of(dict(zip(fields[::2], fields[1::2], strict=True)))
    sent = json.loads(webhook_body(delivery, done, DirectoryStore(tmp_path), link_lifetime_seconds=60))
    assert set(example) == set(sent)
    assert set(example["data"]) == set(sent["data"])
    assert set(example["data"]["outputs"][0]) == set(sent["data"]["outputs"][0])


# Commands and settings


@each_page
def test_every_variable_exists(page: Path) -> None:
    """Each `SCENESHIFT_…` that is named is a setting, or the file of one."""
    for name in re.findall(rf"{PREFIX}[A-Z][A-Z0-9_]*", page.read_text(encoding="utf-8")):
        field = name.removeprefix(PREFIX).lower()
        assert {field, field.removesuffix("_file")} & set(Settings.model_fields), f"{name} is not a setting"


def shell_texts(page: Path) -> Iterator[str]:
    """Everything on the page that a reader may type: lines of shell blocks, and code within sentences."""
    text = page.read_text(encoding="utf-8")
    for block in blocks(text, "sh"):
        yield from block.replace("\\\n", " ").splitlines()
    yield from re.findall(r"`([^`]+)`", prose(text))


@each_page
def test_every_command_and_option_exists(page: Path) -> None:
    """Each `sceneshift …`, `run.py …` and `python -m …` that is named can be typed."""
    run_commands = re.findall(r'^@command\("(\w+)"', (ROOT / "run.py").read_text(encoding="utf-8"), re.MULTILINE)
    for text in shell_texts(page):
        for words in re.findall(r"(?:^|[\s(])sceneshift((?: [^\s()|;&]+)+)", text):
            _check_command(words.split())
        for name in re.findall(r"run\.py (\w+)", text):
            assert name in run_commands, text
        for module in re.findall(r"python3? -m (\S+)", text):
            assert importlib.util.find_spec(module), text


def _check_command(words: list[str]) -> None:
    command: click.Command = cli
    for word in words:
        if word.startswith("-") and len(word) > 1:
            assert word.partition("=")[0] in _options(command), f"{words}: no option {word}"
        elif isinstance(command, click.Group) and not re.match(r"[A-Z…]", word):
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"{words}: no command {word}"
            command = found


def _options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("-")} | {"--help"}


def test_the_command_page_names_every_command_and_option() -> None:
    """Whatever can be typed is in the reference, under its command's heading."""
    for name in COMMANDS:
        text = section("docs/reference/command-line.md", f"## sceneshift {name}")
        command = cli.get_command(click.Context(cli), name)
        members = command.commands.values() if isinstance(command, click.Group) else [command]
        for member in members:
            assert member is not None
            assert member is command or f"`sceneshift {name} {member.name}" in text
            missing = [option for option in _options(member) - {"--help"} if not re.search(rf"`{option}\b", text)]
            assert missing == [], f"{name} {member.name}"


def test_the_command_page_names_every_exit_code() -> None:
    """The table has every `EXIT_…` of the command line, and success, and an interrupt."""
    codes = {str(code) for name, code in vars(sceneshift.cli).items() if name.startswith("EXIT_")}
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs/reference/command-line.md").read_text("utf-8"), re.MULTILINE)
    assert set(rows) == {"0", *codes, "130"}


def test_the_dependency_page_names_exactly_the_projects_dependencies() -> None:
    """Every list of pyproject.toml has its section, and every package in it one sentence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lists = {"The library": project["dependencies"], **project["optional-dependencies"]}
    for heading, requirements in lists.items():
        names = {Requirement(each).name for each in requirements} - {"sceneshift"}
        assert first_column(section("docs/reference/dependencies.md", f"## {heading}")) == names
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/reference/dependencies.md").read_text("utf-8"), re.MULTILINE)
    assert set(headings) == set(lists)


# States and errors


def test_the_states_are_those_of_the_code() -> None:
    """The table of states names each once."""
    assert first_column(section("docs/explanation/how-it-works.md", "## States")) == set(JobState)


def _error_classes() -> list[type[SceneshiftError]]:
    """All exceptions of the project, those of tests left out."""
    for package in (storage, tasks):
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    found, rest = [], [SceneshiftError]
    while rest:
        found.append(kind := rest.pop())
        rest += kind.__subclasses__()
    return [kind for kind in found if kind.__module__.partition(".")[0] in {"sceneshift", "storage", "tasks"}]


def test_the_error_page_names_every_exception_with_its_code() -> None:
    """Class, code, built-in base and retryability are as in the code."""
    text = section("docs/reference/errors.md", "## Exceptions")
    documented = dict(re.findall(r"^\| `(\w+)` \| (`\w+` \| [^|]+ \| \w+) \|", text, re.MULTILINE))
    assert documented == {
        kind.__name__: f"`{kind.code}` | {_builtin(kind)} | {'yes' if kind.retryable else 'no'}"
        for kind in _error_classes()
        if kind.__module__ == sceneshift.errors.__name__
    }


def _builtin(kind: type[SceneshiftError]) -> str:
    bases = [base.__name__ for base in kind.__bases__ if not issubclass(base, SceneshiftError)]
    return f"`{bases[0]}`" if bases else "-"


def _events_of_provider_errors() -> Iterator[events.Event]:
    """What the decisions make of every kind of error, of a submission and of the third question in a row."""
    job = a_job(strikes=STRIKES_MAX - 1, submitted_at=NOW - 3600)
    yield next_step(job, NotSent(reason="connect"), Policy(), NOW)
    for kind in ErrorKind:
        error = ProviderError(kind=kind, message="")
        yield next_step(job, Refused(error=error), Policy(), NOW)
        yield next_step(job, QueryFailed(error=error), Policy(), NOW)


def _literal_codes() -> Iterator[str]:
    """The codes that stand as texts where a fault or a loss is made."""
    for folder in ("sceneshift/jobs", "tasks"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "JobFault":
                    yield from _texts(*(keyword.value for keyword in node.keywords if keyword.arg == "code"))
                elif isinstance(node, ast.Call) and ast.unparse(node.func) == "self._lose":
                    yield from _texts(node.args[1])


def _texts(*values: ast.expr) -> list[str]:
    return [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


def test_the_error_page_names_exactly_the_codes_that_a_job_can_end_with() -> None:
    """Codes of faults, of failed copies and of refused orders: all are there, and no others."""
    codes = {kind.code for kind in _error_classes() if kind.__module__ != sceneshift.errors.__name__}
    codes |= {ConfigurationError.code, InvalidRequestError.code}  # of a source that cannot be signed
    codes |= {faults.DUPLICATE_RESULT_KEY}
    codes |= {event.fault.code for event in _events_of_provider_errors() if hasattr(event, "fault")}
    codes |= set(_literal_codes())
    assert first_column(section("docs/reference/errors.md", "## Job error codes")) == codes


def test_the_error_page_tells_which_failed_copies_are_tried_again() -> None:
    """The column `retried?` is the class's own word; an HTTP status depends on the status."""
    text = section("docs/reference/errors.md", "### An image could not be stored")
    documented = dict(re.findall(r"^\| `(\w+)` \|[^|]+\| (yes|no) \|", text, re.MULTILINE))
    retryable = {kind.code: kind.retryable for kind in _error_classes() if isinstance(kind.retryable, bool)}
    assert {code: retryable[code] for code in documented if code in retryable} == {
        code: word == "yes" for code, word in documented.items() if code in retryable
    }


def test_the_error_page_names_everything_that_a_job_may_wait_for() -> None:
    """Each word of `blocked_by` that is no error code is in its table."""
    words = {event.blocked_by for event in _events_of_provider_errors() if isinstance(event, events.SubmissionDelayed)}
    held = advance(a_job(), events.StepPoisoned(fault=JobFault(code="poison", message="")), NOW).after
    words |= {held.blocked_by, gates.SUBMIT_RATE, gates.IN_FLIGHT, polling.VERDICT}
    words |= {faults.UNKNOWN_OUTCOME, faults.RECOVERY, faults.INTENT_LOG, faults.STORE_DISK}
    words |= {due.BACKLOG, due.LANE, due.QUERY_RATE, due.BROKER}
    assert first_column(section("docs/reference/errors.md", "## What a job waits for")) == words


def test_the_error_page_names_every_kind_of_the_providers_errors() -> None:
    """No kind is left out."""
    assert first_column(section("docs/reference/errors.md", "## The provider's errors")) == set(ErrorKind)


def test_the_webhook_page_names_every_check() -> None:
    """Each reason for which `verify` refuses is explained."""
    code = (ROOT / "sceneshift/webhooks/verifying.py").read_text(encoding="utf-8")
    checks = set(re.findall(r'(?:_refuse\(\s*|check=)"(\w+)"', code))
    assert first_column(section("docs/how-to/receive-webhooks.md", "## When verification fails")) == checks


def test_the_page_on_testing_names_every_check_and_argument() -> None:
    """Who reads the page knows each check of the trial, in its order, and each argument of the fixture."""
    page = "docs/how-to/test-your-endpoint.md"
    names = re.findall(r"^\| `(\w+)` \|", section(page, "## The checks"), re.MULTILINE)
    assert tuple(names) == CHECK_NAMES
    arguments = inspect.signature(CheckWebhookConsumer.__call__).parameters
    assert first_column(section(page, "## In pytest")) == set(arguments) - {"self", "consumer"}
