"""Renders a terminal's content (tmux capture-pane -p -e) from standard input as an SVG on standard output."""

import re
import sys
from html import escape

COLUMNS, CELL, LINE, SIZE, PAD, BAR = 80, 8.4, 18, 14, 16, 30
PAPER, INK, DIM = "#0d1117", "#e6edf3", "#8b949e"
COLOURS = {30: "#484f58", 31: "#ff7b72", 32: "#3fb950", 33: "#d29922", 34: "#58a6ff", 35: "#bc8cff", 36: "#39c5cf"}


def spans(line, style):
    """The line's text in pieces of one style; the style continues in the next line."""
    for piece in re.split(r"(\x1b\[[\d;]*m)", line):
        if codes := re.fullmatch(r"\x1b\[([\d;]*)m", piece):
            for code in map(int, (codes[1] or "0").split(";")):
                if code == 0:
                    style.clear()
                elif code == 1:
                    style["bold"] = True
                elif code == 2:
                    style["colour"] = DIM
                elif code == 39:
                    style.pop("colour", None)
                elif code in COLOURS:
                    style["colour"] = COLOURS[code]
        elif piece:
            yield piece, dict(style)


def drawn(text, style, column, top):
    colour = style.get("colour", INK)
    for run in re.findall(r"█+|░+|[^█░]+", text):
        x, width = PAD + column * CELL, len(run) * CELL
        if run[0] in "█░":
            opacity = "" if run[0] == "█" else ' opacity="0.25"'
            yield f'<rect x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="{LINE - 6}" fill="{colour}"{opacity}/>'
        elif run.strip():
            weight = ' font-weight="bold"' if style.get("bold") else ""
            yield (
                f'<text x="{x:.1f}" y="{top + 13}" textLength="{width:.1f}" fill="{colour}"{weight}'
                f' xml:space="preserve">{escape(run)}</text>'
            )
        column += len(run)


lines = sys.stdin.read().rstrip().split("\n")
width, height = round(2 * PAD + COLUMNS * CELL), BAR + len(lines) * LINE + 2 * PAD - 8
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"')
print(f'     font-family="ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace" font-size="{SIZE}">')
print(f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>')
for place, colour in enumerate(["#ff5f57", "#febc2e", "#28c840"]):
    print(f'<circle cx="{PAD + 6 + 20 * place}" cy="18" r="6" fill="{colour}"/>')
style = {}
for number, line in enumerate(lines):
    column = 0
    for text, of_text in spans(line, style):
        for element in drawn(text, of_text, column, BAR + PAD - 8 + number * LINE):
            print(element)
        column += len(text)
print("</svg>")
