"""`sceneshift webhooks`: everything about webhooks that a person does; one file per subject."""

from __future__ import annotations

import click

from sceneshift.cli.webhooks.endpoint_changes import add, remove, rotate, test, update
from sceneshift.cli.webhooks.endpoint_health import disable, enable, health
from sceneshift.cli.webhooks.endpoints import list_endpoints, secret, show
from sceneshift.cli.webhooks.events import events
from sceneshift.cli.webhooks.listen import listen
from sceneshift.cli.webhooks.looking import list_webhooks, show_webhook
from sceneshift.cli.webhooks.resend import resend
from sceneshift.cli.webhooks.trigger import trigger
from sceneshift.cli.webhooks.verify import verify


@click.group("webhooks")
def command() -> None:
    """Look at webhooks and endpoints, pull events, and receive webhooks while developing."""


@click.group("endpoints")
def endpoints() -> None:
    """Add, look at, change and remove named endpoints."""


for subcommand in (add, list_endpoints, show, health, secret, test, update, rotate, enable, disable, remove):
    endpoints.add_command(subcommand)
for subcommand in (endpoints, events, list_webhooks, listen, resend, show_webhook, trigger, verify):
    command.add_command(subcommand)
