"""An `s3://` source is signed when its job is submitted, for as long as the provider may still fetch it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from sceneshift.settings import Settings
from storage.s3 import _make_client
from tasks.submit import _render_item
from tests.factories import an_order
from tests.unit.tasks.workshop import Workshop


def test_a_source_is_signed_for_the_provider_s_retention(
    work: Workshop, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not for as long as links in webhooks live: a job may wait in the provider's queue until that forgets it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-tests")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    _make_client.cache_clear()
    changed = {
        "storage_url": "s3://results?endpoint_url=http://127.0.0.1:9&region=eu-1",
        "url_lifetime_seconds": 3600.0,
        "provider_retention_seconds": 50_000.0,
    }
    work.use(settings=settings.model_copy(update=changed))
    item = _render_item(work.services, work.accept(order=an_order(image="s3://photos/a.jpg", mask="s3://photos/b.png")))
    for url in (item.image, item.mask):
        assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["50900"]
