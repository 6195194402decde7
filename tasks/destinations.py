"""Where a delivery goes: the lane of its endpoint, the URL, and the secrets that sign for it."""

from __future__ import annotations

from dataclasses import dataclass, field

from sceneshift.jobs.endpoints import Endpoint, is_endpoint_id
from sceneshift.jobs.lanes import lane_of_url
from sceneshift.jobs.record import JobRecord
from sceneshift.store.deliveries import Delivery
from sceneshift.webhooks.endpoint_secrets import endpoint_secret, endpoint_seed
from tasks.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One endpoint, as an attempt needs it. `name` is empty for an endpoint that is known by its URL alone."""

    lane_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    seeds: tuple[bytes, ...] = field(default=(), repr=False)
    """Of the Ed25519 private keys that sign beside the secrets."""
    name: str = ""


def destination_of(services: Services, delivery: Delivery, job: JobRecord | None) -> Destination | None:
    """The delivery's endpoint, or None when there is none any more: it was removed, or the job's record has expired.

    Raises:
        UnknownRecordError: a later release wrote the endpoint's record.
        ConfigurationError: a key in the settings is malformed.
    """
    if is_endpoint_id(delivery.lane_id):
        endpoint = services.store.endpoints.get(delivery.lane_id)
        return None if endpoint is None else _named(services, endpoint)
    if job is None or not job.order.webhook_url:
        return None
    url = job.order.webhook_url
    secrets = tuple(secret.get_secret_value() for secret in services.settings.webhook_secret)
    return Destination(lane_id=lane_of_url(url), url=url, secrets=secrets)


def _named(services: Services, endpoint: Endpoint) -> Destination:
    """Every generation that signs now signs, with each key of the deployment."""
    keys = [key.get_secret_value() for key in services.settings.webhook_endpoint_key]
    signing = [(key, number) for number in endpoint.signing(services.store.clock.now()) for key in keys]
    return Destination(
        lane_id=endpoint.id,
        url=endpoint.url,
        name=endpoint.name,
        secrets=tuple(endpoint_secret(key, endpoint.id, number) for key, number in signing),
        seeds=tuple(endpoint_seed(key, endpoint.id, number) for key, number in signing) if endpoint.ed25519 else (),
    )
