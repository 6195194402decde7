"""`python3 run.py chaos`: a shop at work while everything fails that can, and what is left of its orders after that.

Real processes: two Redis-protocol servers, an S3 server, the simulated provider, workers, and a shop that orders,
cancels and receives webhooks. The faults come from a schedule that a seed decides; the verdict is of `tests.checkers`.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import click
import pytest

from sceneshift.client import Client
from sceneshift.errors import ConfigurationError
from sceneshift.store.connection import SERVICE
from sceneshift.webhooks import new_secret
from storage.opening import open_store
from tests.chaos.account import Account
from tests.chaos.aftermath import Calm, come_to_rest
from tests.chaos.consumer import consuming
from tests.chaos.deployment import LEASE_SECONDS, ChaosDeployment, left_behind, running_chaos
from tests.chaos.page import page
from tests.chaos.recoveries import decisions, held, recoveries
from tests.chaos.schedule import Fault, rhythms, schedule
from tests.chaos.shop import Books, Shop
from tests.chaos.spending import finish, teller
from tests.chaos.storm import Storm
from tests.chaos.verdict import gather, verdict
from tests.checkers import Bound, Evidence
from tests.s3_server import S3Server, running_s3_server

BUCKET = "chaos"
DEFAULT_MINUTES = 3.0
UNSHOWN = frozenset({"plan", "incidents", "samples", "checks", "searched_bytes"})
"""What is for the page and for programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StormPlan:
    """One run: how long it storms, how many orders come in per second, and from which seed everything is drawn."""

    seed: int
    seconds: float
    rate: float = 10.0
    workers: int = 4
    kill_every_seconds: float = 2.0
    unknown_outcome: str = "hold"

    def settings(self, storage_url: str, webhook_secret: str) -> dict[str, str]:
        """Tight limits, short patience, and everything written down twice that costs money."""
        verified = {"NONCE_CONTRACT": "verified"} if self.unknown_outcome == "probe" else {}
        return {
            **verified,
            "UNKNOWN_OUTCOME": self.unknown_outcome,
            "STORAGE_URL": storage_url,
            "INTENT_LOG": "storage",
            "WEBHOOK_SECRET": webhook_secret,
            "WEBHOOK_TIMEOUT_SECONDS": "3",
            "RESULT_TIMEOUT_SECONDS": "5",
            "SUBMIT_RATE": f"{4 * self.rate:g}",
            "QUERY_RATE": f"{20 * self.rate:g}",
            "MAX_IN_FLIGHT": f"{max(20, round(8 * self.rate))}",
            # What leaks, leaks into the more talkative log.
            "LOG_LEVEL": "INFO",
        }


def run_chaos(plan: StormPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """The report of one run; `problems` is empty when every promise was kept."""
    began_at, began = datetime.now(UTC), time.monotonic()
    strikes = schedule(
        plan.seed,
        plan.seconds,
        rhythms(kill_every_seconds=plan.kill_every_seconds, lease_seconds=LEASE_SECONDS),
    )
    with ExitStack() as parts:
        server = parts.enter_context(running_s3_server())
        parts.enter_context(_credentials(server))
        storage_url = server.storage_url(server.create_bucket(BUCKET))
        secret = new_secret()
        consumer = parts.enter_context(consuming(secret, seed=plan.seed))
        deployment = parts.enter_context(
            running_chaos(
                workers=plan.workers,
                simulator=["--median-seconds", "1", "--nonces", "enforced"],
                settings=plan.settings(storage_url, secret),
                environment=server.environment,
            )
        )
        deployment.fleet.wait_until_ready()
        say(f"everything is up in {deployment.directory}; seed {plan.seed}, {len(strikes)} strikes")
        storm = Storm(deployment, consumer, Random(f"{plan.seed} victims"), say)
        shop = Shop(deployment, webhook_url=consumer.url, rate=plan.rate, seed=plan.seed)
        parts.callback(shop.leave)
        shop.open()
        storm.rage(strikes, plan.seconds)
        shop.close()
        client, problems = deployment.client(patience=SERVICE), [*shop.books.problems]
        calm = come_to_rest(storm, client, problems)
        deployment.fleet.stop_all()
        evidence = gather(
            deployment,
            client,
            open_store(storage_url),
            consumer,
            shop.books,
            bound=Bound.of_policy(plan.unknown_outcome, days=1 + (datetime.now(UTC).date() - began_at.date()).days),
            random=Random(f"{plan.seed} pictures"),
        )
        say("everything is gathered")
        report = _report(plan, storm, calm, evidence, books=shop.books, client=client)
    problems += [*calm.problems(), *_of_the_workers(deployment), *_of_the_storm(storm), *left_behind(deployment)]
    return _concluded(report, verdict(evidence), problems, began_at, time.monotonic() - began)


def _concluded(
    report: Mapping[str, Any],
    checks: list[dict[str, Any]],
    problems: list[str],
    began_at: datetime,
    seconds: float,
) -> dict[str, Any]:
    """The report with the verdict, in which what the run itself found stands beside what the checkers found."""
    run = {
        "check": "the run itself",
        "promise": "Everything came to rest in time, and every worker ended as it was told to.",
        "problems": problems,
    }
    return {
        "began_at": began_at.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        **report,
        "checks": [*checks, run],
        "problems": [f"{each['check']}: {problem}" for each in [*checks, run] for problem in each["problems"]],
    }


def _report(
    plan: StormPlan, storm: Storm, calm: Calm, evidence: Evidence, *, books: Books, client: Client
) -> dict[str, Any]:
    deployment, store = storm.deployment, client.store
    account = Account.of({job.order.positive_prompt: job for job in evidence.jobs.values()}, evidence.submits)
    faults = Counter(str(incident.fault) for incident in storm.incidents)
    servers = faults[Fault.STATE_KILLED] + faults[Fault.BROKER_KILLED]
    stopped = deployment.fleet.stopped
    return {
        "seed": plan.seed,
        "plan": asdict(plan),
        "jobs": len(evidence.jobs),
        "states": account.states(),
        "faults": {str(fault): faults[fault] for fault in Fault},
        "sigkills": deployment.fleet.kills + servers,
        "provider_faults": dict(storm.struck.most_common()),
        "webhooks": dict(storm.consumer.treatments),
        "calls_repeated": dict(books.calls_repeated),
        "cancelled": dict(Counter(books.cancelled.values())),
        "recoveries": recoveries(evidence, store.due.begun_counts(), deployment.fleet.log()),
        "held": held(evidence),
        "decisions": decisions(evidence, [store.ledger.day(day) for day in store.ledger.days()]),
        "bill": {
            "charged, says the provider": account.charged,
            "charged, says our ledger": evidence.ledger.charged,
            "perhaps charged, says our ledger": evidence.ledger.unknown,
            "most charges of one job": max((job.charges for job in account.jobs), default=0),
        },
        "calm": calm.as_json(),
        "stopping": {
            "workers told to stop": len(stopped),
            "slowest_seconds": round(max((each.seconds for each in stopped), default=0.0), 1),
        },
        "pictures_compared": sum(bool(each) for each in evidence.pictures.values()),
        "searched_bytes": {place: len(content) for place, content in evidence.captured.items()},
        "incidents": [
            {
                "fault": str(each.fault),
                "at": round(each.at, 2),
                "until": None if each.until is None else round(each.until, 2),
                "detail": each.detail,
            }
            for each in storm.incidents
        ],
        "samples": [
            {"at": round(each.at, 1), **{str(state): count for state, count in each.counts.items()}}
            for each in storm.samples
        ],
    }


def _of_the_workers(deployment: ChaosDeployment) -> list[str]:
    fleet = deployment.fleet
    found = [
        f"{each.name} was told to stop and "
        + (f"had to be killed after {each.seconds:.0f} s" if each.code is None else f"exited with {each.code}")
        for each in fleet.unclean()
    ]
    return [*found, f"{fleet.exits} workers ended by themselves"] if fleet.exits else found


def _of_the_storm(storm: Storm) -> list[str]:
    """A storm without one of its faults proves nothing about it."""
    seen = {incident.fault for incident in storm.incidents}
    return [f"there was no {fault!s}" for fault in Fault if fault not in seen]


@contextmanager
def _credentials(server: S3Server) -> Iterator[None]:
    """boto3's ordinary chain finds the server's credentials, in this process too."""
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@click.command("chaos", context_settings={"show_default": True})
@click.option(
    "--minutes",
    type=click.FloatRange(0.5),
    envvar="CHAOS_MINUTES",
    default=DEFAULT_MINUTES,
    help="So long it storms (CHAOS_MINUTES).",
)
@click.option("--jobs", type=click.IntRange(1), help="So many orders in all, in place of a rate.")
@click.option("--rate", default=10.0, type=click.FloatRange(0.1, 200), help="Orders per second.")
@click.option("--seed", type=int, help="Decides the faults and who is struck.  [default: the time]")
@click.option("--workers", default=4, type=click.IntRange(2, 16), help="Worker processes.")
@click.option("--kill-every", default=2.0, type=click.FloatRange(0.5), help="Seconds between two kills of a worker.")
@click.option("--policy", default="hold", help="SCENESHIFT_UNKNOWN_OUTCOME: hold, fail, probe or resubmit(K, BUDGET).")
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Also write the report here."
)
@click.option("--html", "html_path", type=click.Path(dir_okay=False, path_type=Path), help="Where the page goes.  "
              "[default: a new file, whose path is printed]")  # fmt: skip
def command(
    *,
    minutes: float,
    jobs: int | None,
    rate: float,
    seed: int | None,
    workers: int,
    kill_every: float,
    policy: str,
    json_path: Path | None,
    html_path: Path | None,
) -> None:
    """Run a shop through a storm of faults, and judge what is left of its orders.

    Workers, servers, provider and shop fail all the while. Exits with 1, naming what is wrong, unless every order is
    final or held in time, paid for at most as often as the policy allows, stored whole, and told of.
    """
    plan = StormPlan(
        seed=seed if seed is not None else int(time.time()),
        seconds=60 * minutes,
        rate=jobs / (60 * minutes) if jobs else rate,
        workers=workers,
        kill_every_seconds=kill_every,
        unknown_outcome=policy,
    )
    # Asked to end, it still ends all that it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run_chaos(plan, teller())
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        # In a test, a missing S3 server skips it.
        raise click.ClickException(str(error)) from None
    path = html_path or Path(tempfile.mkdtemp(prefix="sceneshift-chaos-report-")) / "chaos.html"
    path.write_text(page(report), encoding="utf-8")
    click.echo(f"{'page':<24} {path}")
    finish(report, json_path, unshown=UNSHOWN)


if __name__ == "__main__":
    command()
