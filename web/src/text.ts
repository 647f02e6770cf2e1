// Tokens as text. They come from a model's vocabulary and a user's prompt, so they only ever enter the
// page as text nodes, and characters that cannot be seen are drawn: a token " it" reads ␣it.

const kDrawn: Record<string, string> = { " ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };

// The runs of a token: what is written, and what is only drawn.
function* runs(token: string): Generator<{ text: string; drawn: boolean }> {
  if (token === "") {
    yield { text: "∅", drawn: true };
    return;
  }
  // Spaces inside a token are as good as those before it. Joiners stay: emoji are made of them.
  for (const [piece] of token.matchAll(/[ \n\r\t\u00a0]|[^\P{C}\u200d\ufe0f]|[^\p{C} \n\r\t\u00a0]+|[\u200d\ufe0f]+/gu)) {
    const sign = kDrawn[piece];
    if (sign !== undefined) yield { text: sign, drawn: true };
    else if (/^[^\P{C}\u200d]$/u.test(piece)) {
      yield { text: `U+${piece.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`, drawn: true };
    } else {
      // A combining mark alone would sit on whatever stands before it.
      yield { text: /^\p{M}/u.test(piece) ? `◌${piece}` : piece, drawn: false };
    }
  }
}

export function tokenNode(token: string): HTMLElement {
  const node = document.createElement("bdi");
  node.className = "token";
  for (const { text, drawn } of runs(token)) {
    if (!drawn) node.append(text);
    else {
      const sign = document.createElement("span");
      sign.className = "drawn";
      sign.textContent = text;
      node.append(sign);
    }
  }
  return node;
}

// For the canvas: one line, at most `limit` characters.
export function tokenLine(token: string, limit: number): string {
  const line = [...runs(token)].map((run) => run.text).join("");
  const letters = [...line];
  return letters.length <= limit ? line : `${letters.slice(0, limit - 1).join("")}…`;
}

// For the ear: without its leading space.
export function tokenSpoken(token: string): string {
  return token.trim() === "" ? tokenLine(token, 12) : token.trim();
}

// Four digits after the point everywhere, so that columns line up.
export function fixed(value: number, digits = 4): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  return value.toFixed(digits).replace("-", "−");
}

// Two digits without the zero, for the cells of a chart: .63, 1.0, 0.
export function brief(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (value >= 0.995) return "1.0";
  return value < 0.005 ? "0" : value.toFixed(2).slice(1);
}
