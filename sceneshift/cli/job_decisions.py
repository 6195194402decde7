"""`sceneshift jobs retry` and `jobs resolve`: first a plan, with the most that it can cost, and then what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from sceneshift.cli.moments import Moment, MomentType
from sceneshift.cli.output import current_user, print_json, print_left_out, print_table, snapshot_document
from sceneshift.client import current_client, get_job
from sceneshift.errors import InvalidRequestError, SceneshiftError, StoreUnavailableError
from sceneshift.jobs.plans import Plan, PlannedJob, plan_of
from sceneshift.jobs.states import JobState

if TYPE_CHECKING:
    from sceneshift.jobs.events import ResolveAction
    from sceneshift.jobs.record import JobRecord
    from sceneshift.snapshots import JobSnapshot
    from sceneshift.store.selection import Selection

JOBS_MAX = 1_000
"""So many jobs one call decides about, unless it says how many."""

NO_NUMBER = "no number"
"""What a bare `--spend` stands for: click wants a text."""

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Images(click.ParamType[int]):
    """A number of images that may be paid for."""

    name = "images"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value)
        if not text.isascii() or not text.isdecimal():
            self.fail("takes the number of images that may be paid for, such as --spend 2", param, ctx)
        return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The jobs that a call is about: those with these ids, or those that its filters find."""

    ids: tuple[str, ...]
    code: str | None
    sku: str | None
    since: Moment | None
    until: Moment | None
    limit: int | None
    everything: bool

    @property
    def has_filter(self) -> bool:
        """Whether jobs are to be looked for, instead of being named."""
        return self.everything or any(value is not None for value in (self.code, self.sku, self.since, self.until))

    def selection(self, state: JobState, now: float) -> Selection:
        """The filters, as the job store looks for them."""
        from sceneshift.store.selection import Selection  # noqa: PLC0415  # redis is loaded when it is needed

        return Selection(
            state=state,
            code=self.code,
            sku=self.sku,
            since=None if self.since is None else self.since.seconds(now),
            until=None if self.until is None else self.until.seconds(now),
        )


def _filters(command: Decorated) -> Decorated:
    """The arguments and options that say which jobs a command is about, and how it answers."""
    options = (
        click.argument("ids", metavar="[JOB_ID]...", nargs=-1),
        click.option("--code", help="Those that failed, or are held, with this error code."),
        click.option("--sku", help="Those of this product."),
        click.option("--since", type=MomentType(), help="Those that came into their state at this time or later."),
        click.option("--until", type=MomentType(), help="Those that came into their state at this time or before."),
        click.option("--limit", type=click.IntRange(1, 1_000_000), help=f"So many at the most, instead of {JOBS_MAX}."),
        click.option(
            "--spend",
            type=Images(),
            is_flag=False,
            flag_value=NO_NUMBER,
            help="So many images may be paid for, perhaps for a second time.",
        ),
        click.option("--why", default="", help="The reason, for the timeline and the ledger."),
        click.option("--dry-run", is_flag=True, help="Print the plan and do nothing."),
        click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("retry")
@click.option("--state", type=click.Choice([str(JobState.FAILED)]), help="All jobs in this state.")
@click.option("--from-submit", is_flag=True, help="Submit again also what could ask for its result again for free.")
@_filters
def retry(
    *, state: str | None, from_submit: bool, spend: int | None, why: str, dry_run: bool, as_json: bool, **which: Any
) -> None:
    """Have failed jobs go on: print the plan, and do it if it costs no more than --spend.

    A job with a result key asks the provider for its result again, which is free. One without is submitted again.
    """
    wanted = Wanted(everything=state is not None, **which)
    records, more = _records(wanted, JobState.FAILED)
    plan = plan_of(records, "retry", from_submit=from_submit, ordered_again=_ordered_again(records))

    def act(job: PlannedJob) -> JobSnapshot:
        # A key that has arrived since the plan was made is asked about instead.
        return get_job(job.id).retry(by=current_user(), why=why, spend=job.images > 0, from_submit=from_submit)

    _carry_out(plan, act, Way(spend=spend, dry_run=dry_run, as_json=as_json, more=more))


@click.command("resolve")
@click.option("--attach", "result_key", help="The provider accepted it: this is the result key from its console.")
@click.option("--resubmit", is_flag=True, help="It never arrived: submit it again. Needs --spend.")
@click.option("--fail", is_flag=True, help="Give it up.")
@click.option("--all", "everything", is_flag=True, help="All held jobs.")
@_filters
def resolve(
    *, result_key: str | None, resubmit: bool, fail: bool, spend: int | None, why: str, dry_run: bool, as_json: bool,
    **which: Any,
) -> None:  # fmt: skip
    """Decide about jobs that need attention, after a look at the provider's console."""
    if [bool(result_key), resubmit, fail].count(True) != 1:
        raise click.UsageError("give exactly one of --attach RESULT_KEY, --resubmit and --fail")
    action: ResolveAction = "attach" if result_key else "resubmit" if resubmit else "fail"
    wanted = Wanted(**which)
    if action == "attach" and (wanted.has_filter or len(wanted.ids) > 1):
        raise click.UsageError("--attach is for one job: each has a result key of its own")
    records, more = _records(wanted, JobState.NEEDS_ATTENTION)
    plan = plan_of(records, action)

    def act(job: PlannedJob) -> JobSnapshot:
        return get_job(job.id).resolve(action, by=current_user(), why=why, result_key=result_key or "")

    way = Way(spend=spend, dry_run=dry_run, as_json=as_json, more=more)
    if len(wanted.ids) == 1 and not dry_run:
        _decide_about_one(wanted.ids[0], plan, act, way)
    else:
        _carry_out(plan, act, way)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a plan is to be carried out, and whether there are more jobs than it is about."""

    spend: int | None
    dry_run: bool
    as_json: bool
    more: bool


def _records(wanted: Wanted, state: JobState) -> tuple[list[JobRecord], bool]:
    """The jobs as they are, and whether there are more of them than the call may decide about."""
    if bool(wanted.ids) == wanted.has_filter:
        raise click.UsageError("give either ids of jobs, or options that say which jobs")
    limit = wanted.limit or JOBS_MAX
    if wanted.ids:
        ids = list(dict.fromkeys(wanted.ids))
        return [current_client().load(job_id) for job_id in ids[:limit]], len(ids) > limit
    from sceneshift.store.connection import translating  # noqa: PLC0415
    from sceneshift.store.selection import select_jobs  # noqa: PLC0415

    store = current_client().store
    with translating(StoreUnavailableError, "try again"):
        found = select_jobs(store, wanted.selection(state, store.clock.now()), on_unknown=print_left_out)
        records = list(islice(found, limit + 1))
    return records[:limit], len(records) > limit


def _ordered_again(records: list[JobRecord]) -> dict[str, str]:
    from sceneshift.store.connection import translating  # noqa: PLC0415
    from sceneshift.store.selection import ordered_again  # noqa: PLC0415

    with translating(StoreUnavailableError, "nothing was done; try again"):
        return ordered_again(current_client().store, records)


def _decide_about_one(job_id: str, plan: Plan, act: Callable[[PlannedJob], JobSnapshot], way: Way) -> None:
    """The one named job is decided about without a table; whatever is in the way is an error."""
    if not plan.jobs:
        raise InvalidRequestError(f"{job_id}: {plan.left_out[0].why}", param="job_id")
    if not plan.allows(way.spend):
        _refuse(plan)
    snapshot = act(plan.jobs[0])
    if way.as_json:
        print_json(snapshot_document(snapshot))
    else:
        click.echo(f"{job_id} is {snapshot.state}")


def _carry_out(plan: Plan, act: Callable[[PlannedJob], JobSnapshot], way: Way) -> None:
    """The plan is printed, and done if nothing stands against it."""
    if not way.as_json:
        _print_plan(plan, more=way.more)
    may_act = not way.dry_run and plan.allows(way.spend)
    done, failed = _act_on_all(plan, act, quiet=way.as_json) if may_act else ([], [])
    if way.as_json:
        print_json(_document(plan, done, failed, more=way.more))
    elif may_act and plan.jobs:
        click.echo(f"\ndone: {len(done)} of {len(plan.jobs)}")
    if not way.dry_run and not may_act:
        _refuse(plan)
    if failed:
        raise SceneshiftError(f"{len(failed)} of {len(plan.jobs)} jobs were left as they are")


def _act_on_all(
    plan: Plan, act: Callable[[PlannedJob], JobSnapshot], *, quiet: bool
) -> tuple[list[JobSnapshot], list[tuple[str, str]]]:
    """Those that were moved, and the others with what was in the way; a store that goes away ends it."""
    done: list[JobSnapshot] = []
    failed: list[tuple[str, str]] = []
    for job in plan.jobs:
        try:
            done.append(act(job))
        except StoreUnavailableError:
            click.echo(f"the job store went away after {len(done)} of {len(plan.jobs)} jobs", err=True)
            raise
        except SceneshiftError as error:
            failed.append((job.id, str(error)))
            if not quiet:
                click.echo(str(error), err=True)
    return done, failed


def _refuse(plan: Plan) -> NoReturn:
    twice = f", {plan.may_pay_twice} of them perhaps paid for a second time" if plan.may_pay_twice else ""
    jobs = "1 job is" if plan.submissions == 1 else f"{plan.submissions} jobs are"
    raise click.UsageError(
        f"nothing was done: {jobs} submitted again{twice}, for up to {_images(plan.images)}. "
        f"If that is what you want, add --spend {plan.images}"
    )


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count} images"


_PHASES = {"submit": "a new submission", "query": "the provider's answer", "end": "nowhere: it ends"}


def _print_plan(plan: Plan, *, more: bool) -> None:
    rows = [
        (job.id, job.sku, job.reason, _PHASES[job.phase], job.images or "free", f"{job.charge}{job.warning}")
        for job in plan.jobs
    ]
    print_table(rows, ("JOB", "SKU", "WHY", "GOES ON FROM", "IMAGES", "CHARGED SO FAR"))
    for left in plan.left_out:
        click.echo(f"left out: {left.id}: {left.why}")
    click.echo(f"\n{_sum(plan)}")
    if more:
        click.echo(f"there are more: this is about {len(plan.jobs) + len(plan.left_out)} of them; see --limit")


def _sum(plan: Plan) -> str:
    jobs = "1 job" if len(plan.jobs) == 1 else f"{len(plan.jobs)} jobs"
    text = f"{jobs}, {plan.submissions} of them submitted again, for up to {_images(plan.images)}"
    if plan.may_pay_twice:
        text += f"; {plan.may_pay_twice} of those may be paid for a second time"
    return text


def _document(plan: Plan, done: list[JobSnapshot], failed: list[tuple[str, str]], *, more: bool) -> dict[str, Any]:
    return {
        "decision": plan.decision,
        "images": plan.images,
        "may_pay_twice": plan.may_pay_twice,
        "more": more,
        "plan": [{**asdict(job), "may_pay_twice": bool(job.warning)} for job in plan.jobs],
        "left_out": [asdict(left) for left in plan.left_out],
        "done": [{"id": snapshot.id, "state": snapshot.state} for snapshot in done],
        "failed": [{"id": job_id, "error": error} for job_id, error in failed],
    }
