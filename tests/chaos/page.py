"""A storm's report as one self-contained page: the verdict first, then what happened, then what had to be made good.

Everything that comes from the run is escaped; nothing is fetched from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from sceneshift.jobs.states import JobState
from tests.chaos.charts import TimeAxis, fault_lanes, moment, state_areas
from tests.chaos.page_style import STYLE
from tests.chaos.schedule import Fault

OPEN_STATES = (JobState.QUEUED, JobState.SUBMITTING, JobState.RENDERING, JobState.STORING)
ENDED_STATES = (
    JobState.SUCCEEDED,
    JobState.PARTIAL,
    JobState.FAILED,
    JobState.CANCELLED,
    JobState.NEEDS_ATTENTION,
)
PROBLEMS_MAX = 20

Report = Mapping[str, Any]


def page(report: Report) -> str:
    """The report as HTML."""
    problems = len(report["problems"])
    title = "Every promise was kept" if not problems else f"{problems} {_plural(problems, 'thing')} went wrong"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Sceneshift storm: {escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"{_head(report, title)}{_figures(report)}{_promises(report)}{_charts(report)}{_tables(report)}{_foot(report)}"
        "</main></body></html>\n"
    )


def _head(report: Report, title: str) -> str:
    plan = report["plan"]
    verdict = "bad" if report["problems"] else "good"
    return (
        f'<header><p class="kicker">Sceneshift · storm of {_minutes(plan["seconds"])} · '
        f"seed {escape(str(report['seed']))} · {escape(report['began_at'])}</p>"
        f'<h1 class="{verdict}">{escape(title)}</h1>'
        f"<p>{report['jobs']:,} orders, while {sum(report['faults'].values()):,} faults struck workers, servers, "
        "provider and shop. Judged by the provider's own bill, the shop's own receiver and the bucket's own bytes.</p>"
        "</header>"
    )


def _figures(report: Report) -> str:
    states, calm, bill = report["states"], report["calm"], report["bill"]
    lost = sum(len(each["problems"]) for each in report["checks"] if each["check"] == "nothing is lost")
    moving = sum(states.get(state, 0) for state in OPEN_STATES)
    return (
        '<section class="figures">'
        + _figure(f"{report['jobs']:,}", "orders accepted", f"{report['plan']['rate']:g} a second")
        + _figure(f"{report['sigkills']:,}", "SIGKILLs", "of workers, job store and broker")
        + _figure(str(lost), "orders lost", f"{moving:,} still moving at the end", bad=bool(lost or moving))
        + _figure(
            f"{bill['most charges of one job']}",
            "charges for one job at the most",
            f"{bill['charged, says the provider']:,} in all",
        )
        + _figure(
            f"{states.get(JobState.NEEDS_ATTENTION, 0):,}", "held for a person", "perhaps paid for; never sent again"
        )
        + _figure(
            "?" if calm["jobs_seconds"] is None else f"{calm['jobs_seconds']:g} s",
            "until no job moved any more",
            f"after the last fault; the limit was {calm['limit_seconds']:g} s",
            bad=calm["jobs_seconds"] is None or calm["jobs_seconds"] > calm["limit_seconds"],
        )
        + "</section>"
    )


def _figure(value: str, name: str, about: str, *, bad: bool = False) -> str:
    kind = ' class="bad"' if bad else ""
    return f"<div><b{kind}>{escape(value)}</b><span>{escape(name)}</span><small>{escape(about)}</small></div>"


def _promises(report: Report) -> str:
    rows = "".join(_promise(each) for each in report["checks"])
    return f'<section><h2>The promises</h2><ul class="checks">{rows}</ul></section>'


def _promise(check: Mapping[str, Any]) -> str:
    problems: Sequence[str] = check["problems"]
    kind, mark = ("bad", "✗") if problems else ("good", "✓")
    listed = "".join(f"<li>{escape(problem)}</li>" for problem in problems[:PROBLEMS_MAX])
    if len(problems) > PROBLEMS_MAX:
        listed += f"<li>and {len(problems) - PROBLEMS_MAX} more</li>"
    return (
        f'<li><i class="{kind}" aria-hidden="true">{mark}</i><div><b>{_name(check)}</b> '
        f"<span>{escape(check['promise'])}</span>"
        + (f'<ul class="problems">{listed}</ul>' if problems else "")
        + "</div></li>"
    )


def _name(check: Mapping[str, Any]) -> str:
    name = str(check["check"])
    return escape(name[:1].upper() + name[1:])


def _charts(report: Report) -> str:
    samples = report["samples"]
    seconds = max([report["plan"]["seconds"], *(sample["at"] for sample in samples)])
    axis = TimeAxis(seconds, report["plan"]["seconds"])
    faults = [str(fault) for fault in Fault]
    return (
        "<section><h2>Faults as they happened</h2>"
        f"{fault_lanes(report['incidents'], faults, axis)}</section>"
        f"<section><h2>Jobs under way</h2>{_legend(OPEN_STATES)}"
        f"{state_areas('Jobs under way by state', samples, OPEN_STATES, axis)}</section>"
        f"<section><h2>Jobs that have ended, or are held</h2>{_legend(ENDED_STATES)}"
        f"{state_areas('Ended jobs by state', samples, ENDED_STATES, axis)}"
        f"<p class='note'>The storm ended at {moment(report['plan']['seconds'])} (the dashed line).</p>"
        "</section>"
    )


def _legend(states: Iterable[JobState]) -> str:
    items = "".join(
        f'<li><i style="background:var(--{state})"></i>{escape(state.replace("_", " "))}</li>' for state in states
    )
    return f'<ul class="legend">{items}</ul>'


def _tables(report: Report) -> str:
    meanings = {str(fault): fault.meaning for fault in Fault}
    calm = report["calm"]
    return (
        '<section class="tables">'
        + _table("What this run did", report["faults"], meanings)
        + _table("What had to be made good", report["recoveries"])
        + _table("Why jobs are held", report["held"])
        + _table("What the provider did wrong", report["provider_faults"])
        + _table("What became of the jobs", report["states"])
        + _table("What callers were told that cancelling cost", report["cancelled"])
        + _table("How the shop treated its webhooks", report["webhooks"])
        + _table("Calls that callers made again", report["calls_repeated"])
        + _table("Decisions about money", report["decisions"])
        + _table("The bill", report["bill"])
        + _table("Coming to rest", {_CALM[name]: calm[name] for name in _CALM})
        + _table("Workers that were told to stop", report["stopping"])
        + _table("Bytes searched for secrets", report["searched_bytes"])
        + "</section>"
    )


_CALM = {
    "open_jobs": "jobs open when the faults ended",
    "longest_wait_seconds": "seconds: the longest wait that one had set itself",
    "rendering_seconds": "seconds: what the provider still had to do",
    "jobs_per_second": "jobs a second, during the storm",
    "limit_seconds": "seconds: the limit that follows",
    "jobs_seconds": "seconds until no job moved",
    "webhooks_seconds": "seconds more until every webhook was settled",
    "moved_forward": "webhooks whose next try was moved forward",
    "rest_seconds": "seconds more until every slot was free",
}


def _table(title: str, counts: Mapping[str, Any], meanings: Mapping[str, str] | None = None) -> str:
    if not counts:
        return f"<div><h3>{escape(title)}</h3><p class='note'>None.</p></div>"
    rows = "".join(
        f"<tr><td class='number'>{_number(value)}</td><td>{escape(name.replace('_', ' '))}"
        + (f"<small>{escape(meanings[name])}</small>" if meanings and name in meanings else "")
        + "</td></tr>"
        for name, value in counts.items()
    )
    return f"<div><h3>{escape(title)}</h3><table>{rows}</table></div>"


def _number(value: Any) -> str:
    if value is None:
        return "?"
    return f"{value:,}" if isinstance(value, int | float) else escape(str(value))


def _foot(report: Report) -> str:
    plan = report["plan"]
    return (
        f"<footer><p>{plan['workers']} workers of eight threads; lost answers: {escape(plan['unknown_outcome'])}; the "
        f"pictures of {report['pictures_compared']:,} jobs were compared with the provider's own. The whole run took "
        f"{_minutes(report['seconds'])}. The same faults again: <code>python3 run.py chaos "
        f"--seed {escape(str(report['seed']))} --minutes {plan['seconds'] / 60:g}</code></p></footer>"
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"
