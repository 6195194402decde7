"""The tables of scenarios in docs/reference/simulator.md, made from the catalogue.

`python3 run.py docs` writes them anew, below the page's last hand-written paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sceneshift.simulator.answers import Fault
from sceneshift.simulator.gateway_forms import FORMS
from sceneshift.simulator.scenarios.catalogue import SCENARIOS

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "simulator.md"
_FAMILY = re.compile(r"(submit|query)-(error|gateway)-")
_EXCHANGES = {
    "submit": (
        "Submissions",
        "The answer to a submission goes wrong. With `accept` in the name it was charged before.",
    ),
    "query": ("Questions", "The answer to a query goes wrong, whatever became of the job."),
    "task": ("Tasks", "An accepted and charged task has another life than usual."),
    "download": ("Downloads", "The request for an image goes wrong."),
}
_ERRORS = """### Errors of the provider

Every row of its table, as `submit-error-…` and as `query-error-…` with the name in the first column, such as
`submit-error-throttled`. A submission that is answered with `execution-failed` was accepted and charged; the others
were not.

| name | status | message | what Sceneshift does, on submit | on query |
|---|---|---|---|---|"""
_FORMS = """
### Answers of the gateway

Every one, as `submit-gateway-…` and as `query-gateway-…`, such as `submit-gateway-vpc-d504to`. They have the form of
their own generation, whichever `gateway` is set. *Charged* says whether a submission was accepted before.

| name | status | code | text | charged? | what Sceneshift does, on submit | on query |
|---|---|---|---|---|---|---|"""


def with_tables(page: str) -> str:
    """This page with the tables as they are now."""
    written = page.partition("\n### Submissions\n")[0]
    return "\n".join([written, *_tables(), ""])


def _tables() -> Iterator[str]:
    for exchange, (heading, sentence) in _EXCHANGES.items():
        yield f"### {heading}\n\n{sentence}\n"
        yield "| scenario | what the provider does | what Sceneshift does |\n|---|---|---|"
        for each in SCENARIOS.values():
            if each.exchange == exchange and not _FAMILY.match(each.name):
                yield f"| `{each.name}` | {each.behaviour} | {each.reaction.value} |"
        yield ""
    yield _ERRORS
    for fault in Fault:
        yield f"| `{fault.slug}` | {fault.http_status} | {fault.message} | {_reactions('error', fault.slug)} |"
    yield _FORMS
    for form in FORMS.values():
        told = f"{form.http_status} | {form.code or '-'} | {form.message or '-'}"
        charged = "yes" if form.called else "no"
        yield f"| `{form.name}` | {told} | {charged} | {_reactions('gateway', form.name)} |"


def _reactions(family: str, name: str) -> str:
    return " | ".join(SCENARIOS[f"{exchange}-{family}-{name}"].reaction.value for exchange in ("submit", "query"))
