"""`python -m tests.upgrades` writes the corpus of the release that is in the making: tests/upgrades/RELEASE/."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from sceneshift import __version__
from tests.upgrades.corpus import ROOT, releases
from tests.upgrades.scenes import SCENES
from tests.upgrades.stage import made

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def main() -> int:
    """The files are there; a release that is out is not written anew."""
    is_out = re.search(rf"^## \[{re.escape(__version__)}\]", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    if is_out and __version__ in releases():
        sys.exit(f"{__version__} is out: its corpus stays as it is. Raise __version__ in sceneshift/__init__.py first")
    directory = ROOT / __version__
    directory.mkdir(exist_ok=True)
    for name, scene in made(SCENES).items():
        (directory / f"{name}.json").write_text(scene.to_text(), encoding="utf-8")
    print(f"{len(SCENES)} scenes in {directory}")  # noqa: T201  # what the command is for
    return 0


if __name__ == "__main__":
    sys.exit(main())
