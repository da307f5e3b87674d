"""The layout of the report: pieces of HTML, all text escaped, one style sheet.

The page is self-contained: pictures are data URIs, charts are inline SVG, fonts
and the light or dark theme come from the reader's system.
"""

import base64
import html
import math
from string import Template

from keras_pose import drawing
from keras_pose.report import charts


def write(title, body):
    """A complete page from a title and the HTML of its sections."""
    title = html.escape(title)
    return PAGE.substitute(title=title, style=STYLE, body=body, policy=POLICY)


def header(eyebrow, title, lead, rest):
    """The top: a line above the title, a plain summary, then HTML."""
    eyebrow, title, lead = map(html.escape, (eyebrow, title, lead))
    return (
        f"<header><p class=eyebrow>{eyebrow}</p><h1>{title}</h1>"
        f"<p class=lead>{lead}</p>{rest}</header>"
    )


def section(title, *content):
    """A card with a heading."""
    return f"<section><h2>{html.escape(title)}</h2>{''.join(content)}</section>"


def notice(text):
    """One highlighted sentence."""
    return f"<p class=notice>{html.escape(text)}</p>"


def command(label, text):
    """A command line to copy; empty without text."""
    if not text:
        return ""
    label, text = html.escape(label), html.escape(str(text))
    return f"<p class=label>{label}</p><pre>{text}</pre>"


def numbers(values):
    """A row of large numbers: {label: text}."""
    cells = "".join(
        f"<div><dd>{html.escape(text)}</dd><dt>{html.escape(what)}</dt></div>"
        for what, text in values.items()
    )
    return f"<dl class=cells>{cells}</dl>"


def chart(figure, title):
    """A chart as wide as the card."""
    return f"<div class=chart>{charts.svg(figure, title)}</div>"


def scores(table, total=None):
    """A DataFrame in per cent, the first column with bars; `total` is bold."""
    head = "".join(f"<th>{html.escape(str(n))}</th>" for n in table.columns)
    rows = []
    for name, row in table.iterrows():
        kind = " class=total" if name == total else ""
        cells = "".join(_cell(v, first=not n) for n, v in enumerate(row))
        label = html.escape(str(name).replace("_", " "))
        rows.append(f"<tr{kind}><th>{label}</th>{cells}</tr>")
    return (
        "<div class=scroll><table class=scores><thead><tr><th></th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def heat(table):
    """A DataFrame in per cent: the higher a value, the stronger its colour."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in table.columns)
    rows = []
    for name, row in table.iterrows():
        cells = "".join(
            f'<td style="--share:{value:.0f}">{value:.1f}</td>' for value in row
        )
        rows.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    return (
        "<div class=scroll><table class=heat><thead><tr><th></th>"
        f"{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def tiles(cards, kind=""):
    """Pictures in a grid: {label: picture (H, W, 3)}; "pairs" are wide."""
    return (
        f'<div class="tiles {kind}">'
        + "".join(picture(*each) for each in cards.items())
        + "</div>"
    )


def picture(label, image):
    """A picture (H, W, 3) with its label below."""
    label = html.escape(label)
    return (
        f'<div><img alt="{label}" src="{_data(image)}"><span>{label}</span>'
        "</div>"
    )


def plate(label, image):
    """A picture (H, W, 3) as wide as the page; the label is read aloud."""
    label = html.escape(label)
    return f'<img class=plate alt="{label}" src="{_data(image)}">'


def person(pictures, line, name):
    """A card: {label: picture (H, W, 3)} side by side, a line and a name."""
    images = "".join(picture(*each) for each in pictures.items())
    return (
        f"<figure><div class=three>{images}</div><figcaption>"
        f"<b>{html.escape(line)}</b><span>{html.escape(name)}</span>"
        "</figcaption></figure>"
    )


def people(title, cards):
    """A heading over cards of people."""
    cards = "".join(cards)
    return f"<h3>{html.escape(title)}</h3><div class=people>{cards}</div>"


def shares(title, counts, meanings):
    """A bar divided in proportion to `counts` {name: number}, with a legend."""
    total = sum(counts.values())
    bar = "".join(
        f'<i class="k{n}" style="flex:{count}"></i>'
        for n, count in enumerate(counts.values())
    )
    legend = "".join(
        f'<li><i class="k{n}"></i><b>{percent(100 * count / total)}</b> '
        f"{html.escape(name)}<small>{html.escape(meanings[name])}</small></li>"
        for n, (name, count) in enumerate(counts.items())
    )
    return (
        f"<h3>{html.escape(title)}</h3><div class=bar>{bar}</div>"
        f"<ul class=legend>{legend}</ul>"
    )


def settings(rows):
    """A table of the settings: rows of (name, value, origin)."""
    body = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td>"
        f'<td><span class="from {html.escape((origin.split() or [""])[0])}">'
        f"{html.escape(origin)}</span></td></tr>"
        for name, value, origin in rows
    )
    return (
        "<div class=scroll><table class=settings><thead><tr><th>setting</th>"
        "<th>value</th><th>from</th></tr></thead><tbody>"
        f"{body}</tbody></table></div>"
    )


def percent(value):
    """71.3 %, or a dash for NaN; `value` is in per cent."""
    return "–" if math.isnan(value) else f"{value:.1f} %"


def many(number, one, several=None):
    """1 epoch, 2 epochs, 3 people."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def duration(seconds):
    """90 s, 4 min, 1.6 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 99.5 else f"{minutes / 60:.1f} h"


def _cell(value, first):
    if isinstance(value, str):
        return f"<td>{html.escape(value)}</td>"
    if not first:
        return f"<td>{'–' if math.isnan(value) else f'{value:.1f}'}</td>"
    width = 0 if math.isnan(value) else value
    return f'<td class=share style="--share:{width:.1f}">{percent(value)}</td>'


def _data(image):
    encoded = base64.b64encode(drawing.encode(image, ".jpg")).decode()
    return f"data:image/jpeg;base64,{encoded}"


POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
"""What the page may do: show its own styles and pictures. No script runs, and
no host is asked, whatever names it shows."""

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="$policy">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")

STYLE = """
:root {
  --paper: #f6f7f9; --card: #ffffff; --ink: #1c2128; --quiet: #626c78;
  --line: #dde2e8; --left: #d9690f; --right: #1f78c8; --wrong: #d3263f;
  --soft: #eef2f6; --bar: #cfe3f7;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1318; --card: #171c23; --ink: #e6eaef; --quiet: #96a1ae;
    --line: #2c343e; --left: #ff9a47; --right: #63b3ff; --wrong: #ff6b7d;
    --soft: #1f262f; --bar: #1f3f5f;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 40px 20px 72px; }
header { margin-bottom: 40px; }
h1 { font-size: clamp(1.6rem, 4vw, 2.3rem); line-height: 1.2;
  margin: 4px 0 14px; letter-spacing: -0.02em; text-wrap: balance; }
h2 { font-size: 1.25rem; margin: 0 0 12px; letter-spacing: -0.01em; }
h3 { font-size: 1rem; margin: 24px 0 10px; }
p { margin: 0 0 14px; max-width: 74ch; }
ul { margin: 0 0 14px; padding-left: 20px; max-width: 74ch; }
.eyebrow, .label { color: var(--quiet); font-size: 0.8rem; margin: 0 0 4px;
  font-weight: 600; letter-spacing: 0.03em; }
.lead { font-size: 1.12rem; }
.cells { display: flex; flex-wrap: wrap; gap: 12px; margin: 22px 0; }
.cells div { background: var(--card); border: 1px solid var(--line);
  border-radius: 12px; padding: 14px 18px; flex: 1 1 130px; display: flex;
  flex-direction: column; }
.cells dd { margin: 0; font-size: 1.7rem; font-weight: 650; line-height: 1.2;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
.cells dt { color: var(--quiet); font-size: 0.85rem; }
.cells div:first-child dd { color: var(--right); }
pre { background: var(--card); border: 1px solid var(--line);
  padding: 10px 14px; border-radius: 10px; margin: 0 0 14px;
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: 0.85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas,
    "DejaVu Sans Mono", monospace; }
section { background: var(--card); border: 1px solid var(--line);
  border-radius: 16px; padding: 26px 28px; margin: 0 0 22px; }
.notice { background: var(--soft); border-left: 3px solid var(--left);
  padding: 10px 14px; border-radius: 0 8px 8px 0; }
.chart { overflow-x: auto; }
.chart svg { display: block; width: 100%; height: auto; min-width: 560px; }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--quiet); font-size: 0.9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.93rem;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); }
thead th, thead td { color: var(--quiet); font-size: 0.8rem; font-weight: 600; }
.scores td, .scores thead th:not(:first-child) { text-align: right; }
.scores .total th, .scores .total td { font-weight: 700; border-bottom: 0;
  border-top: 2px solid var(--line); }
.share { background: linear-gradient(var(--bar), var(--bar)) no-repeat
  left center / calc(var(--share) * 0.7%) 70%; min-width: 200px; }
.people { display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
figure { margin: 0; }
.three { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; }
.three img { display: block; width: 100%; height: auto; border-radius: 6px; }
.three span { display: block; color: var(--quiet); font-size: 0.75rem; }
.plate { display: block; width: 100%; height: auto; border-radius: 6px; }
figcaption { font-size: 0.88rem; display: flex; gap: 0 10px; flex-wrap: wrap;
  justify-content: space-between; }
figcaption b { font-weight: 550; }
figcaption span { color: var(--quiet); overflow-wrap: anywhere;
  font-size: 0.78rem; }
b.left { color: var(--left); } b.right { color: var(--right); }
b.wrong { color: var(--wrong); }
.bar { display: flex; gap: 2px; height: 22px; border-radius: 6px;
  overflow: hidden; }
.bar i, .legend i { background: var(--right); }
.k0 { opacity: 0.45; } .bar .k1, .legend .k1 { background: var(--left); }
.bar .k2, .legend .k2 { background: #a46fd0; }
.bar .k3, .legend .k3 { background: var(--wrong); }
.legend { list-style: none; padding: 0; margin: 14px 0 0; max-width: none;
  display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); }
.legend li { font-size: 0.93rem; }
.legend i { display: inline-block; width: 11px; height: 11px;
  border-radius: 3px; margin-right: 7px; }
.legend small { display: block; color: var(--quiet); margin-left: 18px; }
.heat td, .heat thead th { text-align: right; white-space: nowrap; }
.heat td { border: 2px solid var(--card); border-radius: 6px;
  background: color-mix(in srgb, var(--right) calc(var(--share) * 0.55%),
    transparent); }
.heat { margin-bottom: 18px; }
.heat td:last-child { font-weight: 700; }
.tiles { display: grid; gap: 6px; margin: 0 0 18px;
  grid-template-columns: repeat(auto-fill, minmax(min(45%, 190px), 1fr)); }
.tiles.pairs { gap: 12px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); }
.tiles img { display: block; width: 100%; height: auto; border-radius: 6px; }
.tiles span { display: block; color: var(--quiet); font-size: 0.78rem; }
.settings td { overflow-wrap: anywhere; }
.from { font-size: 0.78rem; padding: 2px 9px; border-radius: 99px;
  background: var(--soft); color: var(--quiet); white-space: nowrap; }
.from.flag { background: var(--left); color: var(--card); font-weight: 600; }
.from.preset { background: var(--bar); color: var(--ink); }
.versions { color: var(--quiet); font-size: 0.85rem; margin: 14px 0 0; }
@media (max-width: 620px) {
  main { padding: 24px 12px 48px; }
  section { padding: 18px 16px; border-radius: 12px; }
  .scores .share { min-width: 76px; background-size: 4px 0; }
  .chart svg { min-width: 520px; }
}
@media print { section { break-inside: avoid; } }
"""
