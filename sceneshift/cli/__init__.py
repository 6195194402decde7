"""The command line: `sceneshift COMMAND`. Each command is loaded when it is called.

Data goes to standard output and everything else to standard error. Exit codes: 0 done, 1 the job or the command failed,
2 wrong usage or a wrong value, 4 the provider refuses the credential or has no credits left, 5 something that is needed
could not be reached, 6 the waiting took too long.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys

import click

from sceneshift.errors import ConfigurationError, InvalidRequestError, JobTimeoutError, SceneshiftError

COMMANDS = {
    "demo": "workers.demo.command",
    "doctor": "sceneshift.cli.doctor",
    "jobs": "sceneshift.cli.jobs",
    "ledger": "sceneshift.cli.ledger",
    "limits": "sceneshift.cli.limits",
    "recovery": "sceneshift.cli.recovery",
    "simulator": "sceneshift.cli.simulator",
    "webhooks": "sceneshift.cli.webhooks",
    "worker": "workers.worker_command",
}
"""Each command's module, whose `command` it is. Those of the service are there in a checkout or its image only."""

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_REFUSED = 4
EXIT_UNREACHABLE = 5
EXIT_TIMEOUT = 6


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        package = module.partition(".")[0]
        if package != "sceneshift" and importlib.util.find_spec(package) is None:
            return _unavailable(
                cmd_name, "runs the service: use it from a checkout of the project or from its container image"
            )
        try:
            command = importlib.import_module(module).command
        except ModuleNotFoundError as error:
            return _unavailable(cmd_name, f"needs the package {error.name}, which is not installed here")
        assert isinstance(command, click.Command)  # noqa: S101  # a promise between our own modules
        return command


def _unavailable(name: str, why: str) -> click.Command:
    text = f"`sceneshift {name}` {why}"

    @click.command(name, help=text, context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
    def unavailable() -> None:
        raise click.UsageError(text)

    return unavailable


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sceneshift")
def cli() -> None:
    """Product photos through a slow, paid image API: nothing lost, nothing paid twice, every wait explained."""


def main() -> int:
    """Run the command line; an expected error is one sentence on standard error and its exit code."""
    try:
        # A command that ends early with a code of its own has it returned here; the others return nothing.
        return int(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except SceneshiftError as error:
        click.echo(f"error: {error}", err=True)
        return exit_code_of(error)


def exit_code_of(error: SceneshiftError) -> int:
    """The exit code that stands for this error."""
    if isinstance(error, InvalidRequestError | ConfigurationError):
        return EXIT_USAGE
    if isinstance(error, ConnectionError):
        return EXIT_UNREACHABLE
    return EXIT_TIMEOUT if isinstance(error, JobTimeoutError) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main())
