"""A self-contained HTML page: headings, cards, tables and figures, with plotly's script inside. Works offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from plotly.offline import get_plotlyjs

from armwise.simulation.plots import as_div

if TYPE_CHECKING:
    import plotly.graph_objects as go

_STYLE = """
:root{--ink:#1f2937;--muted:#6b7280;--line:#e5e7eb;--accent:#2563eb;--wash:#f8fafc}
*{box-sizing:border-box}body{margin:0;background:var(--wash);color:var(--ink);
font:16px/1.55 Inter,system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:40px 24px 80px}h1{font-size:34px;line-height:1.2;margin:0 0 8px}
h2{font-size:21px;margin:0 0 4px}.lead{color:var(--muted);font-size:18px;margin:0 0 28px;max-width:50em}
section{background:#fff;border:1px solid var(--line);border-radius:14px;padding:22px 24px;margin:18px 0}
section>p{color:var(--muted);margin:0 0 10px;max-width:58em}.cards{display:grid;
grid-template-columns:repeat(auto-fit,minmax(210px,1fr));gap:14px;margin:0 0 18px}.card{background:#fff;
border:1px solid var(--line);border-radius:14px;padding:16px 20px}.card b{display:block;font-size:30px;line-height:1.2;
color:var(--accent)}.card span{color:var(--muted);font-size:14px}.scroll{overflow-x:auto}table{border-collapse:collapse;
width:100%;font-size:14px}th,td{text-align:right;padding:7px 10px;border-bottom:1px solid var(--line);
font-variant-numeric:tabular-nums;vertical-align:top}small{color:var(--muted);white-space:nowrap}th{color:var(--muted);font-weight:600}th:first-child,td:first-child,.text{text-align:left}
pre{background:#0f172a;color:#e2e8f0;border-radius:10px;padding:14px 16px;overflow:auto;font-size:13px;margin:0}
footer{color:var(--muted);font-size:13px;margin-top:28px}
"""


class Page:
    """Collects parts in order; :meth:`write` makes the file. All text is escaped."""

    def __init__(self, title: str, lead: str) -> None:
        self.title = title
        self._parts = [f"<h1>{escape(title)}</h1><p class='lead'>{escape(lead)}</p>"]

    def cards(self, cards: Mapping[str, str]) -> None:
        """What each figure is -> the figure."""
        inner = "".join(
            f"<div class='card'><b>{escape(value)}</b><span>{escape(label)}</span></div>"
            for label, value in cards.items()
        )
        self._parts.append(f"<div class='cards'>{inner}</div>")

    def figure(self, title: str, text: str, figure: go.Figure) -> None:
        self._section(title, text, as_div(figure))

    def table(self, title: str, text: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        words = [any(row[i] and not _number(row[i]) for row in rows) for i in range(len(header))]
        kind = [" class='text'" if word else "" for word in words]
        head = "".join(f"<th{k}>{escape(name)}</th>" for k, name in zip(kind, header, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td{k}>{_cell(cell)}</td>" for k, cell in zip(kind, row, strict=True)) + "</tr>"
            for row in rows
        )
        self._section(title, text, f"<div class='scroll'><table><tr>{head}</tr>{body}</table></div>")

    def code(self, title: str, text: str, code: str) -> None:
        self._section(title, text, f"<pre>{escape(code)}</pre>")

    def footer(self, text: str) -> None:
        self._parts.append(f"<footer>{escape(text)}</footer>")

    def html(self) -> str:
        """The whole page."""
        return (
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
            "<meta name='viewport' content='width=device-width, initial-scale=1'>"
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
            f"<body><main>{''.join(self._parts)}</main></body></html>"
        )

    def write(self, path: Path) -> Path:
        """Write the page; makes its directory."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.html(), encoding="utf-8")
        return path

    def _section(self, title: str, text: str, inner: str) -> None:
        note = f"<p>{escape(text)}</p>" if text else ""
        self._parts.append(f"<section><h2>{escape(title)}</h2>{note}{inner}</section>")


def _cell(text: str) -> str:
    """Escaped; what follows a line break is set small below."""
    first, _, rest = text.partition("\n")
    return escape(first) + (f"<br><small>{escape(rest)}</small>" if rest else "")


def _number(text: str) -> bool:
    """Whether a cell holds a number, to be set flush right."""
    return bool(text) and text[0] in "+-–.0123456789" and " to " not in text
