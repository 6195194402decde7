"""The newest corpus has a sample of everything that this code writes, so that no later release is tried on less."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from sceneshift import __version__
from sceneshift.jobs import record
from sceneshift.jobs.intents import Intent
from sceneshift.jobs.known_words import DELIVERY_WORDS, JOB_WORDS
from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.states import Charge, JobState
from sceneshift.messages import TASKS
from sceneshift.store import keys
from tasks.spool import SpooledKey
from tests.upgrades.corpus import Scene, releases, scenes_of
from tests.upgrades.scenes import SCENES
from tests.upgrades.shapes import shapes_of
from tests.upgrades.stage import made

JOBS = Path(record.__file__).parent
WHAT_TO_DO = f"""
This code writes what no sample in tests/upgrades/{releases()[-1]} has. Before it is merged:

1. Can the release before pass over it? If not, it raises RECORD_VERSION (sceneshift/jobs/known_words.py says when).
2. Does a scene in tests/upgrades/scenes.py bring it about? If not, add to one.
3. `python3 run.py corpus` writes the corpus of {__version__}. One that is out stays: raise __version__.

Without a sample: """


@cache
def shapes_now() -> frozenset[str]:
    """What this code writes in all scenes."""
    return frozenset().union(*(shapes_of(scene) for scene in made(SCENES).values()))


@cache
def shapes_kept() -> frozenset[str]:
    """What the newest corpus has."""
    return frozenset().union(*(shapes_of(scene) for scene in scenes_of(releases()[-1]).values()))


def require(*wanted: str) -> None:
    """The newest corpus has samples of these."""
    missing = sorted(set(wanted) - shapes_kept())
    assert not missing, WHAT_TO_DO + "\n".join(missing)


def test_the_release_in_the_making_has_a_corpus() -> None:
    """`python3 run.py corpus` has been run for it."""
    assert releases()[-1] == __version__, "python3 run.py corpus"


def test_everything_that_is_written_has_a_sample() -> None:
    """The scenes, played by the code of today, leave nothing behind that the corpus does not have."""
    require(*shapes_now())


def test_every_field_of_a_record_has_a_sample() -> None:
    """Also those that are rarely set."""
    require(*(f"key job:ID {name}" for name in record._ALL_FIELDS))


def test_every_word_has_a_sample() -> None:
    """States, charges, kinds of steps and webhooks, wishes to cancel: what another release may not know."""
    require(*(f"key job:ID state={state}" for state in JobState), *(f"key job:ID charge={each}" for each in Charge))
    require(*(f"key job:ID step={kind}" for kind in JOB_WORDS.words["step"]))
    require(*(f"key job:ID cancel={wish}" for wish in JOB_WORDS.words["cancel"]))
    require(*(f"key delivery:ID {name}={word}" for name in ("status", "type") for word in DELIVERY_WORDS.words[name]))


def test_every_part_of_an_order_an_intent_and_a_spooled_key_has_a_sample() -> None:
    """Each field by its name."""
    require(*(f"key job:ID:order {item.name}" for item in fields(JobOrder) if item.name != "unknown_fields"))
    require(*(f"object intents/DAY/ID/NUMBER.json {item.name}" for item in fields(Intent)))
    require(*(f"spool {item.name}" for item in fields(SpooledKey) if item.name != "unknown_fields"))
    require(*(f"key job:ID:results {name}" for name in record._RESULTS))


def test_every_key_has_a_sample() -> None:
    """Whatever the list of keys names, but for notices, which nobody keeps, and what is Celery's."""
    rows = re.findall(r"^    PREFIX:(\S+) +(hash|string|zset|list) ", keys.__doc__ or "", re.MULTILINE)
    assert len(rows) > 30
    for pattern, kind in rows:
        words = re.sub(r"\b[A-Z]{2,}\b", "*", pattern.replace("STEPS:OUTPUTS", "STEPS"))
        expected = re.compile("key " + re.escape(words).replace(r"\*", r"\S+") + rf" \({kind}\)")
        assert any(expected.fullmatch(shape) for shape in shapes_kept()), WHAT_TO_DO + f"{pattern} ({kind})"


def test_every_message_has_a_sample() -> None:
    """One of each task, and polls and webhooks both alone and in a batch."""
    require(*(f"message in {task}: task {task}, 0 positional arguments" for task in TASKS))
    require("message in sceneshift.poll: argument job_id", "message in sceneshift.poll: argument job_ids")
    require("message in sceneshift.notify: argument delivery_id", "message in sceneshift.notify: argument delivery_ids")


def test_every_kind_of_entry_in_a_timeline_has_a_sample() -> None:
    """Each event that a transition notes."""
    source = "".join(path.read_text(encoding="utf-8") for path in JOBS.glob("*.py"))
    events = {
        *re.findall(r'\bevent="(\w+)"', source),
        "enqueued",
        *(str(state) for state in JobState if state.is_final),
    }
    require(*(f"key job:ID:timeline event={event}" for event in events))


def test_the_words_for_a_wish_to_cancel_are_those_of_the_record() -> None:
    """The list for scripts and the type for people say the same."""
    assert JOB_WORDS.words["cancel"] == {*get_args(record.CancelWish)} - {""}


def test_a_scene_is_the_same_each_time() -> None:
    """Nothing in it depends on chance or on the moment, so that a new corpus differs in what the code does."""
    first, second = (made({"held": SCENES["held"]})["held"] for _ in range(2))
    assert first == second
    assert Scene.from_text(first.to_text()) == first


@pytest.mark.parametrize("release", releases())
def test_every_scene_says_how_its_jobs_must_end(release: str) -> None:
    """No job of a corpus may be overlooked in its replay."""
    for name, scene in scenes_of(release).items():
        jobs = {key.split(":")[2] for key in scene.redis if re.fullmatch(r"\{sceneshift\}:job:job_\w+", key)}
        assert set(scene.ends) == jobs, name
