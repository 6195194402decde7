"""A job as it is stored: what goes in comes out again, also what a later version wrote."""

from __future__ import annotations

import json

import pytest

from sceneshift.jobs.order import JobOrder
from sceneshift.jobs.record import JobFault, JobRecord
from sceneshift.jobs.states import Charge
from tests.factories import a_job, an_order, an_output
from tests.unit.jobs.situations import MISSING, SITUATIONS, URLS


def stored_and_loaded(job: JobRecord) -> JobRecord:
    return JobRecord.from_fields(job.to_fields(), job.order.to_json(), job.results_json())


@pytest.mark.parametrize("situation", SITUATIONS)
def test_a_record_survives_its_storage(situation: str) -> None:
    """Every field of a job in every situation comes back as it was."""
    job = SITUATIONS[situation]
    assert stored_and_loaded(job) == job


def test_every_field_survives_at_once() -> None:
    """No field is dropped because it is rarely set, and text of any language comes back."""
    job = SITUATIONS["storing"].evolve(
        fence=3, begun=2, starts=1, earlier_charge=Charge.CHARGED, strikes=1, store_attempts=4, overdue=True,
        cancel="keep", blocked_by="s3_error", blocked_until=1_795_392_001.125, outputs=(an_output(0),),
        missing=(MISSING,),
        error=JobFault(code="x", message="Grün, 绿色, \u0007", request_id=None), urls=URLS,
        order=an_order(seed=0, metadata={"product": "花瓶"}, lane="bulk", deadline_seconds=1.5, sku=None),
    )  # fmt: skip
    assert stored_and_loaded(job) == job


@pytest.mark.parametrize(
    "fault",
    [
        JobFault(code="poison", message=""),
        JobFault(code="x", message='commas, "quotes", [brackets]\nand 绿色', request_id="REQ-1"),
    ],
)
def test_a_fault_survives_as_one_short_field(fault: JobFault) -> None:
    """Its text reads back as it was, whatever the provider's words are."""
    assert JobFault.from_text(fault.to_text()) == fault


@pytest.mark.parametrize("text", [None, ""])
def test_an_empty_field_is_no_fault(text: str | None) -> None:
    """A job without an error has none."""
    assert JobFault.from_text(text) is None


def test_a_seed_of_zero_is_not_the_provider_s_choice() -> None:
    """`seed=0` is an order like any other number."""
    assert JobOrder.from_json(an_order(seed=0).to_json()).seed == 0
    assert JobOrder.from_json(an_order(seed=None).to_json()).seed is None


def test_empty_fields_take_no_room() -> None:
    """A fresh job stores only what it has, and none of the values at their defaults."""
    fields = a_job().to_fields()
    assert set(fields) == {"version", "id", "sku", "state", "step", "created_at", "epoch", "charge", "deadline_at"}
    assert set(json.loads(an_order().to_json())) == {"image", "mask", "positive_prompt", "webhook_url", "sku"}


def test_fields_of_a_later_version_are_kept() -> None:
    """A worker of this version does not lose what a newer one has noted on the record."""
    job = JobRecord.from_fields({**a_job().to_fields(), "palette": "warm"}, an_order().to_json())
    assert job.unknown_fields == {"palette": "warm"}
    assert job.evolve(polls=1).to_fields()["palette"] == "warm"


def test_an_order_of_a_later_version_can_be_read() -> None:
    """A field that this version does not know is left alone."""
    text = json.dumps({**json.loads(an_order().to_json()), "palette": "warm"})
    assert JobOrder.from_json(text) == an_order()


@pytest.mark.parametrize("part", ["outputs", "missing"])
def test_results_of_a_later_version_can_be_read(part: str) -> None:
    """While two versions run side by side, a new detail of an image does not make the job unreadable for the old."""
    job = SITUATIONS["storing"].evolve(outputs=(an_output(0),), missing=(MISSING,))
    document = json.loads(job.results_json())
    document[part][0]["colour_space"] = "srgb"
    assert JobRecord.from_fields(job.to_fields(), job.order.to_json(), json.dumps(document)) == job


def test_orders_differ_in_what_is_rendered_and_billed_only() -> None:
    """The address for webhooks, the sku, metadata, lane and deadline do not make it another image."""
    base = an_order()
    same = an_order(
        webhook_url=None, sku="other", metadata={"a": "b"}, lane="bulk", deadline_seconds=1.0, idempotency_key="k"
    )
    assert base.differing_fields(same) == ()
    other = an_order(image="https://shop.example/2.jpg", seed=1, steps=20)
    assert base.differing_fields(other) == ("image", "seed", "steps")
