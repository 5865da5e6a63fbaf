"""What every page of a report is made of: a page that asks nothing of the network, and tables whose cells are escaped."""

import html
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

STYLE = (Path(__file__).parent / "report.css").read_text(encoding="utf-8")

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title><style>{style}</style></head><body><main>{body}</main></body></html>
"""


def page(title: str, body: str) -> str:
    """A whole page; its policy forbids scripts and any request, whatever the body holds."""
    return PAGE.format(title=html.escape(title), style=STYLE, body=body)


def table_html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of text; every cell is escaped."""
    return markup_table(header, [[html.escape(cell) for cell in row] for row in rows])


def markup_table(header: Sequence[str], rows: Sequence[Sequence[str]], ids: Sequence[str] = ()) -> str:
    """A table whose cells are markup already: whoever calls it has escaped what a model or a document says.

    The header is text. `ids`, one a row where given, are made by `anchor`.
    """
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
    starts = [f'<tr id="{one}">' for one in ids] or ["<tr>"] * len(rows)
    lines = [
        start + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for start, row in zip(starts, rows, strict=True)
    ]
    return (
        '<div class="scroll" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def anchor(*parts: str | int) -> str:
    """The parts as one id that needs no escaping, in an attribute or behind the # of a link: p-631, fact-80c-limit."""
    return "-".join(quote(str(part), safe="") for part in parts)


def link(target: str, text: str) -> str:
    """A link to a path made of names that `anchor` has quoted; the text is escaped."""
    return f'<a href="{target}">{html.escape(text)}</a>'
