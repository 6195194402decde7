"""How a storm's page looks, in light and in dark."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --paper: #f6f7f9; --card: #fff; --ink: #1b2330; --soft: #5a6575; --rule: #e1e5eb; --good: #177a45; --bad: #b3261e;
  --mark: #c2410c; --queued: #9aa5b4; --submitting: #d98a00; --rendering: #2f6fd6; --storing: #0f8f86;
  --succeeded: #2f9e5b; --partial: #9bb81f; --failed: #c43d34; --cancelled: #8792a2; --needs_attention: #8550c8; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #12161c; --card: #1a2029; --ink: #e6eaf0; --soft: #9aa5b4; --rule: #2c3542; --good: #57c98a; --bad: #ff8a80;
  --mark: #fb923c; --queued: #6b7788; --submitting: #e0a126; --rendering: #5b95f0; --storing: #31b3a8;
  --succeeded: #43b873; --partial: #b5cf45; --failed: #e5675e; --cancelled: #707c8d; --needs_attention: #a97ae0; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 32px; line-height: 1.15; margin: 4px 0 8px; }
h2 { font-size: 18px; margin: 0 0 10px; }
h3 { font-size: 15px; margin: 0 0 6px; }
header p { margin: 0; max-width: 70ch; color: var(--soft); }
.kicker { font-size: 13px; letter-spacing: .02em; }
.good { color: var(--good); } .bad { color: var(--bad); }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 18px 20px;
  margin-top: 18px; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(138px, 1fr)); gap: 14px; }
.figures b { display: block; font-size: 26px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.figures span, .figures small { display: block; }
small, .note { color: var(--soft); font-size: 13px; }
ul { list-style: none; margin: 0; padding: 0; }
.checks > li { display: flex; gap: 10px; padding: 5px 0; border-top: 1px solid var(--rule); }
.checks > li:first-child { border-top: 0; }
.checks i { font-style: normal; font-weight: 700; width: 1em; }
.checks span { color: var(--soft); }
.problems li { color: var(--bad); overflow-wrap: anywhere; padding-top: 3px; }
.chart { overflow-x: auto; }
.chart svg { display: block; width: 100%; min-width: 720px; height: auto; }
svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .tick, svg .count { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid, svg .rule { stroke: var(--rule); stroke-width: 1; }
svg .end { stroke: var(--soft); stroke-width: 1.2; stroke-dasharray: 4 4; }
svg .mark { fill: var(--mark); opacity: .85; }
svg .area { stroke: var(--card); stroke-width: .6; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; margin-bottom: 8px; font-size: 13px; color: var(--soft); }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
.tables { columns: 2 380px; column-gap: 36px; }
.tables > div { break-inside: avoid; padding-bottom: 20px; }
table { border-collapse: collapse; width: 100%; }
td { vertical-align: top; padding: 3px 0; border-top: 1px solid var(--rule); overflow-wrap: anywhere; }
tr:first-child td { border-top: 0; }
td small { display: block; }
.number { width: 6.5em; padding-right: 14px; text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
footer { margin-top: 18px; color: var(--soft); font-size: 13px; }
code { font-size: 12px; overflow-wrap: anywhere; }
@media print { section { break-inside: avoid; } }
"""
