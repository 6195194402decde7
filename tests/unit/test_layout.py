"""The shape of the house: imports point inwards, the wheel has one name, and what is public is said in one place."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sceneshift
from sceneshift.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("sceneshift", "storage", "tasks", "workers")
"""From the inside out: a layer imports itself and what stands before it."""


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_inwards(layer: str) -> None:
    """No package imports one that stands further out, nor the operations or the tests."""
    outer = {*LAYERS[LAYERS.index(layer) + 1 :], "ops", "tests", "examples"}
    found = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / layer).rglob("*.py")
        for name in _imports(path) & outer
    }
    assert found == set()


def test_wheel_ships_one_name_with_its_data(tmp_path: Path) -> None:
    """The wheel installs `sceneshift` and nothing else, with its scripts, schemas and type marker."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    files = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in files if ".dist-info/" not in name} == {"sceneshift"}
    assert {"sceneshift/py.typed", "sceneshift/store/lua/advance.lua", "sceneshift/simulator/page.html"} <= set(files)
    assert any(name.startswith("sceneshift/webhooks/schemas/") for name in files)
    assert "sceneshift/webhooks/vectors.json" in files


def test_public_names_are_exactly_what_all_says() -> None:
    """`from sceneshift import *` works, is sorted, and no public name is left out of `__all__`."""
    public = {
        name for name, value in vars(sceneshift).items()
        if not name.startswith("_") and not isinstance(value, type(sys))
    }  # fmt: skip
    assert sceneshift.__all__ == sorted(sceneshift.__all__, key=lambda name: (name[0].islower(), name))
    assert set(sceneshift.__all__) == public


def test_import_of_the_library_loads_nothing_heavy() -> None:
    """A shop's process pays for Celery, Redis and settings when it enqueues, and never for the service's parts."""
    code = "import sys, sceneshift; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    heavy = {"boto3", "botocore", "httpx", "PIL", "celery", "kombu", "redis", "pydantic", "starlette", "structlog"}
    assert set(loaded.stdout.split()) & heavy == set()


@pytest.mark.parametrize("package", ["tasks", "storage"])
def test_worker_refuses_a_stray_package_of_the_same_name(tmp_path: Path, package: str) -> None:
    """When another distribution's `tasks` or `storage` comes first, the app says whose it is instead of starting."""
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(f"__path__.append({str(ROOT / package)!r})\n")
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]; import workers.app"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert answer.returncode != 0
    assert f"'{package}' was imported from {tmp_path}" in answer.stderr


def test_lock_files_hold_no_addresses() -> None:
    """Whoever installs from the lock files uses the index that is configured there, checked by hash."""
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text


def test_settings_reference_is_what_the_code_says() -> None:
    """docs/reference/settings.md is generated; `python3 run.py docs` writes it anew."""
    from tests.documentation import settings_page  # noqa: PLC0415

    assert (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8") == settings_page()


def test_every_setting_is_read_somewhere() -> None:
    """No setting does nothing."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for layer in LAYERS
        for path in (ROOT / layer).rglob("*.py")
        if path.name != "settings.py"
    )
    own = (ROOT / "sceneshift" / "settings.py").read_text(encoding="utf-8")
    unread = [
        name for name in Settings.model_fields
        if not (f".{name}" in code or f"self.{name}" in own or f'"{name}"' in code)
    ]  # fmt: skip
    assert unread == []
