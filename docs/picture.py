"""Draws docs/picture.svg: the arcs from one query to its keys, width and number being the weight.

    build/release/regard inspect -p "The trophy did not fit in the bag because it was too big." \
      --layer 16 --head 3 --query it --json | python3 docs/picture.py >docs/picture.svg
"""

import json
import sys
from html import escape

SENTENCE_Y, CHAR, GAP, MARGIN = 214, 9.6, 13, 18  # a monospaced font: widths are known

data = json.load(sys.stdin)
words = [token.replace("Ġ", " ").strip() for token in data["tokens"]]
weights = data["weights"]
query = max(i for i, word in enumerate(words) if word == "it")

centres, x = [], MARGIN
for word in words:
    width = len(word) * CHAR
    centres.append(x + width / 2)
    x += width + GAP
width = round(x - GAP + MARGIN)

out = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 58 {width} 190" role="img" '
    f'font-family="ui-monospace, monospace" font-size="16" text-anchor="middle">',
    f"<title>Layer 16, head 3: from \"it\" to "
    + escape(", ".join(f"{words[i]} {weights[i]:.2f}" for i in
                       sorted(range(len(words)), key=lambda i: -weights[i])[:3])) + "</title>",
    "<style>text{fill:#1b2733}.w{fill:#5b6b7b;font-size:13px}.q{fill:#0b5fa5;font-weight:bold}"
    ".later{opacity:.35}path{fill:none;stroke:#0b5fa5;stroke-opacity:.75;stroke-linecap:butt}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.w{fill:#9fb0c0}.q{fill:#79b8ff}"
    "path{stroke:#79b8ff}}</style>",
]
for i, word in enumerate(words):
    kind = "q" if i == query else "later" if i > query else ""
    out.append(f'<text class="{kind}" x="{centres[i]:.1f}" y="{SENTENCE_Y}">{escape(word)}</text>')
    if i > query:
        continue
    weight = weights[i]
    out.append(f'<text class="w" x="{centres[i]:.1f}" y="{SENTENCE_Y + 22}">{weight:.2f}</text>')
    if i != query:
        span = centres[query] - centres[i]
        height = SENTENCE_Y - 22 - min(170, 20 + span * 0.32)
        out.append(
            f'<path d="M{centres[query]:.1f} {SENTENCE_Y - 18} C{centres[query]:.1f} {height:.1f} '
            f'{centres[i]:.1f} {height:.1f} {centres[i]:.1f} {SENTENCE_Y - 18}" '
            f'stroke-width="{max(0.5, 22 * weight):.1f}"/>')
out.append("</svg>")
print("\n".join(out))
