"""Pieces of HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


def escape(value: Any) -> str:
    """Text that is safe within HTML, and within its attributes."""
    return html.escape(str(value), quote=True)


def cell(value: Any) -> str:
    """What stands in a cell of a table; raw HTML comes as `Html`."""
    if isinstance(value, Html):
        return str(value)
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    if isinstance(value, float):
        return escape(short(value))
    return escape(value)


class Html(str):
    """Text that is HTML already."""


def short(value: float) -> str:
    """A number in few digits."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.0e}"


def interval(mean: float, low: float, high: float) -> str:
    """A mean with its interval."""
    if np.isnan(low):
        return f"{mean:.3f}"
    return f"{mean:.3f} [{low:.3f}, {high:.3f}]"


def table(header: Sequence[str], rows: Iterable[Sequence[Any]], bold: Any = None) -> str:
    """A table that scrolls within itself; the row that begins with `bold` stands out."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = []
    for row in rows:
        mark = ' class="best"' if row[0] == bold else ""
        first, *rest = (cell(value) for value in row)
        body.append(
            f'<tr{mark}><th scope="row">{first}</th>'
            + "".join(f"<td>{value}</td>" for value in rest)
            + "</tr>"
        )
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def listing(items: Iterable[Any]) -> str:
    """A bulleted list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfa;--fg:#1d2126;--muted:#5d6670;--line:#dcdfe3;
--card:#fff;--accent:#0b62a4;--good:#0a7a4b;--bad:#b3401a;--open:#6b5a00}
@media(prefers-color-scheme:dark){:root{--bg:#15181b;--fg:#e6e8ea;--muted:#9aa4ad;--line:#343a40;
--card:#1d2125;--accent:#6db6f2;--good:#58c99a;--bad:#f0916d;--open:#dcc66a}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;overflow-wrap:break-word}
main{max-width:64rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.7rem;line-height:1.2;margin:.5rem 0}
h2{font-size:1.3rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.6rem 0 .4rem}h4{font-size:.95rem;margin:1rem 0 .2rem}
p{margin:.5rem 0;max-width:46rem}a{color:var(--accent)}
.muted{color:var(--muted);font-size:.92rem}
.answer{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--accent);
border-radius:8px;padding:.6rem 1.1rem .9rem;margin:1rem 0}
.answer h2{border:0;margin:.2rem 0 .3rem;padding:0}.answer p{max-width:none}
.wide{overflow-x:auto;-webkit-overflow-scrolling:touch}
table{border-collapse:collapse;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .8rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
thead th{color:var(--muted);font-weight:600}
th:first-child{text-align:left}tbody th{font-weight:400}tr.best th,tr.best td{font-weight:650}
td .named{display:inline-block;width:8.5rem;white-space:normal}
td.text,.facts td{text-align:left;white-space:normal}
figure{margin:0;background:#fff;border:1px solid var(--line);border-radius:8px;padding:.5rem}
figure img{display:block;max-width:100%;height:auto;margin:0 auto}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));
align-items:start}
.grid h3{margin:.2rem 0 .3rem}
.tag{display:inline-block;border-radius:1rem;padding:0 .6rem;border:1px solid currentColor;
font-size:.85rem;white-space:nowrap}
.better{color:var(--good)}.worse{color:var(--bad)}.open{color:var(--open)}.none{color:var(--muted)}
details{margin:.6rem 0}summary{cursor:pointer;color:var(--accent)}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.86rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem;
overflow-x:auto;max-height:26rem}
code{overflow-wrap:anywhere}
@media(max-width:40rem){h1{font-size:1.4rem}th,td{padding:.35rem .5rem}
tbody th{position:sticky;left:0;background:var(--bg);max-width:9.5rem;white-space:normal}}
@media print{body{background:#fff}figure{break-inside:avoid}}
"""
