"""`sceneshift simulator`: the provider to develop against, as a process of its own."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from sceneshift.cli.output import print_json
from sceneshift.errors import ConfigurationError
from sceneshift.settings import current_settings
from sceneshift.simulator import missing
from sceneshift.simulator.config import (
    API_PREFIX,
    Gateway,
    MaskKeeps,
    NonceCheck,
    Reading,
    SimulatorConfig,
    ThrottledBy,
)
from sceneshift.simulator.rendering.recipe import Quality

_DEFAULTS = SimulatorConfig()
_TEXT_WIDTH = 100

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def _choice(option: str, choices: Any, text: str) -> Callable[[Decorated], Decorated]:
    default = getattr(_DEFAULTS, option.removeprefix("--").replace("-", "_"))
    return click.option(option, type=click.Choice(get_args(choices)), default=default, help=text)


def _list_scenarios(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        _print_scenarios(as_json=bool(context.params.get("as_json")))
        context.exit()


@click.command(name="simulator", context_settings={"show_default": True})
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8400, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--appcode",
    default=None,
    help="The one AppCode that is accepted.  [default: SCENESHIFT_PROVIDER_APPCODE, else simulator-appcode]",
    show_default=False,
)
@click.option("--seed", type=int, default=_DEFAULTS.seed, help="Makes durations, failures and faults repeat.")
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="RULE",
    help="How to misbehave, and when: NAME, NAME=PROBABILITY, NAME@CALL, NAME@FIRST-LAST. May be given several times.",
)
@click.option("--json", "as_json", is_flag=True, is_eager=True, help="With --list-scenarios: one JSON document.")
@click.option(
    "--list-scenarios",
    is_flag=True,
    expose_value=False,
    callback=_list_scenarios,
    help="List all scenarios, and what Sceneshift does about each.",
)
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
@click.option("--credits", type=click.IntRange(min=0), default=None, help="How many items may be accepted.")
@click.option(
    "--submit-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Submissions per second, beyond which calls are throttled.",
)
@click.option(
    "--query-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=None,
    help="Queries per second, beyond which calls are throttled.",
)
@click.option(
    "--max-running",
    type=click.IntRange(min=0),
    default=None,
    help="Unfinished submissions, beyond which further ones are throttled.",
)
@_choice("--throttled-by", ThrottledBy, "Who throttles: the provider with a body, or the gateway with headers.")
@click.option(
    "--retry-after-seconds",
    type=click.FloatRange(min=0),
    default=None,
    help="The Retry-After of a throttled answer.",
)
@_choice("--reading", Reading, "The reading of the provider's damaged table of codes.")
@_choice("--gateway", Gateway, "The generation of gateway; only vpc sends codes.")
@_choice("--nonces", NonceCheck, "Whether a used nonce is refused.")
@_choice("--mask-keeps", MaskKeeps, "The colour that marks the product in a mask.")
@_choice("--quality", Quality, "draft draws plain scenes, several times as fast, for load tests.")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="A directory of product photos to serve under /catalogue/.",
)
def command(
    host: str,
    port: int,
    appcode: str | None,
    as_json: bool,  # noqa: ARG001  # for --list-scenarios
    **behaviour: Any,
) -> None:
    """Run a provider that answers like the real one, charges nothing and draws its own pictures.

    One line on stdout says where it listens; it ends on SIGINT or SIGTERM. A page at its root shows what came in and
    what went out.
    """
    try:
        # The web server comes with an extra that the command list must not need.
        from sceneshift.simulator.server import base_url_of, listen, serve_until_signal  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise click.ClickException(missing(error)) from None
    config = SimulatorConfig(appcode=appcode or _appcode_from_settings(), **behaviour)
    _check_scenarios(config.scenarios)
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


def _check_scenarios(rules: tuple[str, ...]) -> None:
    from sceneshift.simulator.scenarios.rules import read_rule  # noqa: PLC0415  # a hundred scenarios, rarely needed

    try:
        for rule in rules:
            read_rule(rule)
    except ConfigurationError as error:
        raise click.BadParameter(error.message, param_hint="--scenario") from None


def _announce(base_url: str) -> None:
    click.echo(f"simulator listening on {base_url}{API_PREFIX}")
    sys.stdout.flush()
    click.echo(f"its page: {base_url}/  its ledger: {base_url}/_sim/ledger  (Ctrl+C ends it)", err=True)


def _print_scenarios(*, as_json: bool) -> None:
    from sceneshift.simulator.scenarios.catalogue import SCENARIOS  # noqa: PLC0415  # see _check_scenarios
    from sceneshift.simulator.scenarios.scenario import Exchange  # noqa: PLC0415

    if as_json:
        print_json([each.as_json() for each in SCENARIOS.values()])
        return
    for exchange in Exchange:
        click.secho(exchange, bold=True)
        for scenario in SCENARIOS.values():
            if scenario.exchange is exchange:
                click.echo(f"  {scenario.name}")
                click.echo(_paragraph(scenario.behaviour))
                click.echo(_paragraph(f"Sceneshift: {scenario.reaction.value}"))
        click.echo()


def _paragraph(text: str) -> str:
    return textwrap.fill(text, _TEXT_WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8)
