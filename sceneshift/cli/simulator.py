"""`sceneshift simulator`: the provider to develop against, as a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from sceneshift.settings import current_settings
from sceneshift.simulator.config import API_PREFIX, SimulatorConfig

_DEFAULTS = SimulatorConfig()


@click.command(name="simulator", context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--appcode",
    default=None,
    help="The one AppCode that is accepted.  [default: SCENESHIFT_PROVIDER_APPCODE, else simulator-appcode]",
    show_default=False,
)
@click.option("--seed", type=int, default=_DEFAULTS.seed, help="Makes durations and failures repeat.")
@click.option(
    "--median-seconds",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.median_seconds,
    help="How long half of the tasks take at the most (50 steps, one image).",
)
@click.option(
    "--failure-rate",
    type=click.FloatRange(0, 1),
    default=_DEFAULTS.failure_rate,
    help="Share of accepted tasks that end as FAILED.",
)
@click.option(
    "--result-lifetime-seconds",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.result_lifetime_seconds,
    help="How long a result URL works.",
)
@click.option(
    "--retention-seconds",
    type=click.FloatRange(min=0),
    default=_DEFAULTS.retention_seconds,
    help="How long a result_key is known.",
)
@click.option(
    "--mask-keeps",
    type=click.Choice(["white", "black"]),
    default=_DEFAULTS.mask_keeps,
    help="The colour that marks the product in a mask.",
)
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="A directory of product photos to serve under /catalogue/.",
)
def command(host: str, port: int, appcode: str | None, **behaviour: Any) -> None:
    """Run a provider that answers like the real one, charges nothing and draws its own pictures.

    One line on stdout says where it listens; it ends on SIGINT or SIGTERM.
    """
    try:
        # The web server comes with an extra that the command list must not need.
        from sceneshift.simulator.server import base_url_of, listen, serve_until_signal  # noqa: PLC0415
    except ImportError as error:
        raise click.ClickException(f"{error.name} is missing: pip install 'sceneshift[simulator]'") from None
    config = SimulatorConfig(appcode=appcode or _appcode_from_settings(), **behaviour)
    try:
        listener = listen(host, port)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    with listener:
        base_url = base_url_of(listener)
        serve_until_signal(config, listener, on_ready=lambda: _announce(base_url))


def _appcode_from_settings() -> str:
    configured = current_settings().provider_appcode
    return configured.get_secret_value() if configured else _DEFAULTS.appcode


def _announce(base_url: str) -> None:
    click.echo(f"simulator listening on {base_url}{API_PREFIX}")
    sys.stdout.flush()
    click.echo(f"its ledger: {base_url}/ledger (Ctrl+C ends it)", err=True)
