"""Everything a checkout can do, from nothing but Python: `python3 run.py` lists the commands.

Standard library only, because it runs before anything is installed. It makes `.venv`, installs what the lock files pin
(by hash), remembers what it installed, and then runs the command inside.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
LOCKS = {kind: ROOT / f"requirements/{kind}.txt" for kind in ("service", "demo", "dev", "browser")}
SUPERSETS = {"demo": ("demo", "dev", "browser"), "dev": ("dev", "browser"), "browser": ("browser",)}
EXTRAS = {
    "service": ("checkout", "flower", "service", "simulator"),
    "demo": ("demo",),
    "dev": ("dev",),
    "browser": ("browser",),
}
"""What each lock holds; the container image is made from `service`."""
PACKAGES = ["sceneshift", "storage", "tasks", "workers", "ops", "tests", "examples", "run.py"]

Command = Callable[[list[str]], int]
COMMANDS: dict[str, tuple[Command, str]] = {}


def command(name: str, summary: str) -> Callable[[Command], Command]:
    def register(function: Command) -> Command:
        COMMANDS[name] = (function, summary)
        return function

    return register


def say(text: str) -> None:
    print(f"run.py: {text}", file=sys.stderr, flush=True)


def environment() -> dict[str, str]:
    """The environment of what runs in `.venv`: this checkout first on the path, its programs first on PATH."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(VENV),
    }


def run(*arguments: str | Path) -> int:
    """Run a program in the environment, in the checkout, and wait for it."""
    return subprocess.run(
        [str(argument) for argument in arguments], cwd=ROOT, env=environment(), check=False
    ).returncode


def must(*arguments: str | Path) -> None:
    if code := run(*arguments):
        sys.exit(code)


def become(*arguments: str | Path) -> int:
    """A program takes this one's place, so that it gets its signals; where that is impossible, run it."""
    if os.name != "nt":
        os.execve(arguments[0], [str(each) for each in arguments], environment())  # noqa: S606  # no shell is wanted
    return run(*arguments)


def stamp_of(lock: Path) -> str:
    """What an installed environment depends on: lock, project file, Python version, and where the checkout is."""
    digest = hashlib.sha256()
    for part in (lock.read_bytes(), (ROOT / "pyproject.toml").read_bytes(), sys.version.encode(), str(ROOT).encode()):
        digest.update(part)
    return digest.hexdigest()


def ensure(kind: str) -> None:
    """`.venv` holds what the lock `kind` pins, and this checkout's `sceneshift` command."""
    for candidate in SUPERSETS[kind]:
        stamp = VENV / f"installed-{candidate}"
        if stamp.exists() and stamp.read_text() == stamp_of(LOCKS[candidate]):
            return
    if sys.version_info < (3, 11):  # noqa: UP036  # this file is what an older Python meets first
        sys.exit(f"run.py: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
    if not PYTHON.exists():
        say("making .venv")
        make_environment()
    say("installing the installer (uv, pinned by hash)")
    must(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes",
         "-r", ROOT / "requirements/bootstrap.txt")  # fmt: skip
    say(f"installing {LOCKS[kind].relative_to(ROOT)} (pinned by hash)")
    # The full path of the interpreter: uv reads a bare name as a version request.
    uv: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", PYTHON]
    must(*uv, "--require-hashes", "--only-binary", ":all:", "-r", LOCKS[kind])
    must(*uv, "--no-deps", "--no-build-isolation", "--editable", ROOT)
    (VENV / f"installed-{kind}").write_text(stamp_of(LOCKS[kind]))
    say("ready")


def make_environment() -> None:
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except (ImportError, subprocess.CalledProcessError):
        shutil.rmtree(VENV, ignore_errors=True)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"run.py: this Python cannot make virtual environments: install its venv module "
            f"(Debian, Ubuntu: apt-get install python{version}-venv) and run the same command again"
        )


@command("setup", "make .venv and install everything, for working on the project")
def setup(_arguments: list[str]) -> int:
    ensure("dev")
    return 0


@command("demo", "the whole system on a small catalogue; --help lists its options")
def demo(arguments: list[str]) -> int:
    ensure("demo")
    return become(PYTHON, "-m", "sceneshift", "demo", *arguments)


@command("test", "the tests; further arguments go to pytest")
def test(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    if arguments:
        return become(PYTHON, "-m", "pytest", *arguments)
    quick: list[str | Path] = [PYTHON, "-m", "pytest", "-m", "not slow and not browser"]
    together = ("--numprocesses=auto", "--dist=worksteal")
    # Those of the integration start processes of their own: two at a time, and nothing else meanwhile.
    return max(
        run(*quick, "--ignore=tests/integration", *together),
        run(*quick, "tests/integration", "--numprocesses=2", "--dist=worksteal"),
    )


@command("browser", "the tests of the simulator's page in a Chromium; further arguments go to pytest")
def browser(arguments: list[str]) -> int:
    names = ("chromium", "chromium-browser", "google-chrome")
    if not any(map(shutil.which, names)):
        sys.exit(
            f"run.py: a Chromium is missing: none of {', '.join(names)} is on PATH (Debian: apt-get install chromium)"
        )
    ensure("browser")
    return run(PYTHON, "-m", "pytest", "tests/browser", "-m", "browser", *arguments)


@command("check", "format, lint and types, as the continuous integration asks")
def check(_arguments: list[str]) -> int:
    ensure("dev")
    steps: list[list[str | Path]] = [
        [BIN / "ruff", "format", "--check", *PACKAGES],
        [BIN / "ruff", "check", *PACKAGES],
        [PYTHON, "-m", "mypy"],
    ]
    return max(run(*step) for step in steps)


@command("fmt", "format the code and mend what the linter can mend")
def fmt(_arguments: list[str]) -> int:
    ensure("dev")
    return max(run(BIN / "ruff", "check", "--fix", *PACKAGES), run(BIN / "ruff", "format", *PACKAGES))


@command("bench", "the benchmarks, with their figures as tables; further arguments go to pytest")
def bench(arguments: list[str]) -> int:
    ensure("dev")
    which = (
        arguments if any(argument.startswith("tests/") for argument in arguments) else ["tests/benchmarks", *arguments]
    )
    return run(PYTHON, "-m", "pytest", "-m", "slow", "-s", "--timeout", "1800", *which)


@command("spending", "many jobs while answers are lost and workers die: is anything paid twice? --help lists options")
def spending(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    return become(PYTHON, "-m", "tests.chaos.spending", *arguments)


@command("slots", "a cap on jobs in flight while workers die: is it kept, and used? --help lists its options")
def slots(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    return become(PYTHON, "-m", "tests.chaos.slots", *arguments)


@command("simulate", "the real code in a simulated world of faults: which seed breaks a promise? --help lists options")
def simulate(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    return become(PYTHON, "-m", "tests.faults", *arguments)


@command("nightly", "a hundred thousand schedules of faults, and the simulations that are too long for each run")
def nightly(_arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    long = ("-m", "pytest", "-m", "slow", "tests/faults", "--numprocesses=auto", "--dist=worksteal")
    schedules = ("-m", "tests.faults", "--seeds", "100000", "--processes", str(os.cpu_count() or 1))
    return max(run(PYTHON, *long), run(PYTHON, *schedules))


@command("mutants", "the code with one mechanism removed after the other: does the simulation find it out?")
def mutants(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    return become(PYTHON, "-m", "tests.faults.mutation", *arguments)


@command("chaos", "a shop at work while everything fails that can, for three minutes; --help lists its options")
def chaos(arguments: list[str]) -> int:
    ensure("dev")
    os.chdir(ROOT)
    return become(PYTHON, "-m", "tests.chaos.chaos", *arguments)


@command("docs", "write the pages of the documentation that are made from the code")
def docs(_arguments: list[str]) -> int:
    ensure("dev")
    return run(PYTHON, "-m", "tests.documentation")


@command("corpus", "write what this release leaves behind, for later ones to be tried on (tests/upgrades)")
def corpus(_arguments: list[str]) -> int:
    ensure("dev")
    return run(PYTHON, "-m", "tests.upgrades")


@command("lock", "resolve the dependencies anew into requirements/*.txt")
def lock(_arguments: list[str]) -> int:
    ensure("dev")
    compile_: list[str | Path] = [BIN / "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
                                  "--upgrade", "--generate-hashes", "--no-emit-index-url", "--no-header"]  # fmt: skip
    requirements = ROOT / "requirements"
    must(*compile_, "requirements/bootstrap.in", "--output-file", requirements / "bootstrap.txt")
    for kind, path in LOCKS.items():
        extras = [part for extra in EXTRAS[kind] for part in ("--extra", extra)]
        must(*compile_, "pyproject.toml", *extras, "--output-file", path)
    return 0


def main() -> int:
    name, *arguments = sys.argv[1:] or ["help"]
    if name not in COMMANDS:
        width = max(map(len, COMMANDS))
        if name not in {"help", "--help", "-h"}:
            say(f"there is no command {name!r}")
        print("python3 run.py COMMAND\n")
        for known, (_, summary) in COMMANDS.items():
            print(f"  {known:<{width}}  {summary}")
        return 0 if name in {"help", "--help", "-h"} else 2
    return COMMANDS[name][0](arguments)


if __name__ == "__main__":
    sys.exit(main())
