// The map of one head on a canvas: queries down, keys across, what lies after the query greyed. More
// cells than pixels show the largest weight of each block, so that thin lines and sinks survive.

import { css, drawLegend, inkOn, prefersDark, weightColour } from "./colour";
import type { Inspection, Spot } from "./data";
import { move } from "./roving";
import type { State } from "./state";
import { brief, fixed, tokenLine, tokenNode, tokenSpoken } from "./text";

const kLeft = 104; // room for the queries' names
const kTop = 84; // room for the keys' names
const kNumberCell = 26; // cells at least this wide carry their number
const kNameCell = 11; // and at least this wide their name
const kMasked = -1;

export class AttentionMap {
  private readonly node = document.getElementById("map")!;
  private readonly canvas = document.getElementById("canvas") as HTMLCanvasElement;
  private readonly cell = document.getElementById("map-cell")!;
  private readonly meaning = document.getElementById("map-meaning")!;
  private readonly tag = document.getElementById("map-preview")!;
  private readonly spanOutput = document.getElementById("zoom-span")!;
  private cursor: { query: number; key: number } | null = null; // while the map has the keyboard
  private origin = 0; // the window shows tokens origin .. origin + span - 1 on both sides
  private span: number;
  private side = 0; // pixels of the square of cells
  // The cells as last drawn, and of what: pointing at things moves only the lines over them.
  private readonly picture = document.createElement("canvas");
  private pictured = "";

  constructor(private readonly data: Inspection, private readonly state: State) {
    this.span = data.count;
    this.node.setAttribute("aria-rowcount", String(data.count));
    this.node.setAttribute("aria-colcount", String(data.count));
    this.node.setAttribute("aria-activedescendant", "map-cell");
    this.node.addEventListener("pointermove", (event) => {
      const at = this.placeAt(event);
      this.state.preview(at, "pointer");
    });
    this.node.addEventListener("pointerleave", () => this.state.preview(null, "pointer"));
    this.node.addEventListener("click", (event) => {
      const at = this.placeAt(event);
      if (at) this.state.lock(at);
    });
    this.node.addEventListener("keydown", (event) => this.pressed(event));
    this.node.addEventListener("focus", () => {
      if (this.node.matches(":focus-visible")) this.moveTo(this.state.locked.query, this.state.locked.key);
    });
    this.node.addEventListener("blur", () => {
      this.cursor = null;
      this.state.preview(null, "pointer");
    });
    document.getElementById("zoom-in")!.addEventListener("click", () => this.zoom(0.5));
    document.getElementById("zoom-out")!.addEventListener("click", () => this.zoom(2));
    drawLegend(document.getElementById("map-legend")!, true, "weight", "grey: later than the query, masked");
    new ResizeObserver(() => this.render()).observe(this.node);
    prefersDark.addEventListener("change", () =>
      drawLegend(document.getElementById("map-legend")!, true, "weight", "grey: later than the query, masked"),
    );
  }

  private placeAt(event: PointerEvent | MouseEvent): { query: number; key: number } | null {
    const box = this.canvas.getBoundingClientRect();
    const size = this.side / this.span;
    const key = Math.floor((event.clientX - box.left - kLeft) / size);
    const query = Math.floor((event.clientY - box.top - kTop) / size);
    if (key < 0 || query < 0 || key >= this.span || query >= this.span) return null;
    return { query: query + this.origin, key: key + this.origin };
  }

  private pressed(event: KeyboardEvent): void {
    const at = this.cursor ?? this.state.locked;
    if (event.key === "Enter" || event.key === " ") this.state.lock({ query: at.query, key: at.key });
    else if (event.key === "+" || event.key === "=") this.zoom(0.5);
    else if (event.key === "-") this.zoom(2);
    else {
      const to = move(event, { row: at.query, column: at.key }, this.data.count, this.data.count);
      if (!to) return;
      this.moveTo(to.row, to.column);
    }
    event.preventDefault();
  }

  private moveTo(query: number, key: number): void {
    this.cursor = { query, key };
    this.state.preview(this.cursor, "keyboard");
  }

  private zoom(factor: number): void {
    this.span = Math.min(Math.max(Math.round(this.span * factor), Math.min(8, this.data.count)), this.data.count);
    const at = this.cursor ?? this.state.locked;
    this.origin = Math.round((at.query + at.key) / 2 - this.span / 2);
    this.keepInside(at);
    this.render();
  }

  // Moves the window so that the spot is in it; where both cannot be, the query is.
  private keepInside(at: { query: number; key: number }): void {
    for (const index of [at.key, at.query]) {
      this.origin = Math.min(Math.max(this.origin, index - this.span + 1), index);
    }
    this.origin = Math.min(Math.max(this.origin, 0), this.data.count - this.span);
  }

  render(): void {
    const { shown } = this.state;
    const { data } = this;
    if (this.cursor) this.keepInside(this.cursor);
    this.tag.hidden = !this.state.previewing;
    this.meaning.replaceChildren(`Layer ${shown.layer} head ${shown.head}: queries down, keys across`);
    if (!data.whole(shown.layer, shown.head)) {
      this.meaning.append(
        `. The prompt is long: this page keeps ` +
          (data.kept === "head" ? `the whole map of layer ${data.locked.layer} head ${data.locked.head} only, and ` : "") +
          `one row of this head, query ${data.locked.query}.`,
      );
    }
    this.spanOutput.textContent =
      this.span === data.count ? `${data.count} tokens` : `${this.origin}–${this.origin + this.span - 1} of ${data.count}`;
    this.describeCell(shown);
    this.draw(shown);
  }

  private describeCell(shown: Spot): void {
    const { data } = this;
    const weight = data.weight(shown);
    const row = this.cell.parentElement!;
    row.setAttribute("aria-rowindex", String(shown.query + 1));
    this.cell.setAttribute("aria-colindex", String(shown.key + 1));
    const share = shown.key > shown.query ? "masked" : weight === null ? "not in this page" : fixed(weight, 2);
    this.cell.textContent = `query ${tokenSpoken(data.tokens[shown.query])}, key ${tokenSpoken(data.tokens[shown.key])}, ${share}`;
  }

  // Largest weight of each block of the window, [blocks, blocks]; kMasked where every key is later, NaN
  // where the page does not hold the row.
  private blocks(shown: Spot, count: number): Float32Array {
    const { data, span, origin } = this;
    const all = data.triangle(shown.layer, shown.head);
    const largest = new Float32Array(count * count).fill(kMasked);
    for (let i = 0; i < span; ++i) {
      const query = origin + i;
      const row = Math.floor((i * count) / span) * count;
      const weights = all
        ? all.subarray((query * (query + 1)) / 2, ((query + 1) * (query + 2)) / 2)
        : data.weights(shown.layer, shown.head, query);
      for (let j = 0; j < span && origin + j <= query; ++j) {
        const at = row + Math.floor((j * count) / span);
        if (!weights) {
          if (largest[at] === kMasked) largest[at] = NaN;
        } else if (!(largest[at] >= weights[origin + j])) largest[at] = weights[origin + j];
      }
    }
    return largest;
  }

  private draw(shown: Spot): void {
    const width = this.node.clientWidth;
    if (width === 0) return;
    // Few tokens need no huge cells; the square never outgrows the window.
    const room = Math.min(width - kLeft - 2, Math.max(280, window.innerHeight - 260));
    this.side = Math.max(120, Math.min(room, this.span * 46));
    const size = this.side / this.span;
    const ratio = window.devicePixelRatio || 1;
    const high = this.side + kTop + 2;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(high * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${high}px`;
    const pen = this.canvas.getContext("2d")!;
    pen.scale(ratio, ratio);
    const style = getComputedStyle(this.node);
    const ink = (name: string): string => style.getPropertyValue(name).trim();

    const what = [shown.layer, shown.head, this.origin, this.span, this.side, ratio, prefersDark.matches].join();
    if (what !== this.pictured) {
      this.drawCells(shown, ratio, ink);
      this.pictured = what;
    }
    pen.drawImage(this.picture, kLeft, kTop, this.side, this.side);
    this.drawNames(pen, size, shown, ink);
    this.drawCrosshair(pen, size, this.state.locked, ink("--query"), ink("--key"), false);
    if (this.state.previewing) this.drawCrosshair(pen, size, shown, ink("--text"), ink("--text"), true);
  }

  private drawCells(shown: Spot, ratio: number, ink: (name: string) => string): void {
    const pixels = Math.round(this.side * ratio);
    this.picture.width = this.picture.height = pixels;
    const pen = this.picture.getContext("2d")!;
    const count = Math.min(this.span, pixels);
    const values = this.blocks(shown, count);
    const block = pixels / count;
    const gap = block / ratio >= 6 ? Math.round(ratio) : 0;
    const masked = ink("--masked");
    const absent = ink("--absent");
    pen.font = `500 ${Math.min(12 * ratio, block * 0.33)}px ${ink("--mono")}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const edge = (index: number): number => Math.round(index * block); // whole pixels, or cells shimmer
    for (let i = 0; i < count; ++i) {
      const y = edge(i);
      const high = edge(i + 1) - y - gap;
      for (let j = 0; j < count; ++j) {
        const value = values[i * count + j];
        const x = edge(j);
        const wide = edge(j + 1) - x - gap;
        if (value === kMasked || Number.isNaN(value)) {
          pen.fillStyle = value === kMasked ? masked : absent;
          pen.fillRect(x, y, wide, high);
          continue;
        }
        const rgb = weightColour(value);
        pen.fillStyle = css(rgb);
        pen.fillRect(x, y, wide, high);
        if (block >= kNumberCell * ratio) {
          pen.fillStyle = inkOn(rgb);
          pen.fillText(brief(value), x + wide / 2, y + high / 2 + ratio / 2);
        }
      }
    }
  }

  private drawNames(pen: CanvasRenderingContext2D, size: number, shown: Spot, ink: (name: string) => string): void {
    pen.font = `12px ${ink("--mono")}`;
    pen.textBaseline = "middle";
    for (let i = 0; i < this.span; ++i) {
      const index = this.origin + i;
      const isQuery = index === shown.query;
      const isKey = index === shown.key;
      const middle = (i + 0.5) * size;
      if (size >= kNameCell || isQuery) {
        pen.fillStyle = isQuery ? ink("--query") : ink("--quiet");
        pen.textAlign = "right";
        pen.fillText(tokenLine(this.data.tokens[index], 13), kLeft - 8, kTop + middle);
      }
      if (size >= kNameCell || isKey) {
        pen.fillStyle = isKey ? ink("--key") : ink("--quiet");
        pen.textAlign = "left";
        pen.save();
        pen.translate(kLeft + middle, kTop - 8);
        pen.rotate(size >= 24 ? -Math.PI / 4 : -Math.PI / 2);
        pen.fillText(tokenLine(this.data.tokens[index], 11), 0, 0);
        pen.restore();
      }
    }
  }

  private drawCrosshair(
    pen: CanvasRenderingContext2D,
    size: number,
    at: Spot,
    queryInk: string,
    keyInk: string,
    dashed: boolean,
  ): void {
    const i = at.query - this.origin;
    const j = at.key - this.origin;
    const inside = (index: number): boolean => index >= 0 && index < this.span;
    pen.save();
    pen.setLineDash(dashed ? [4, 3] : []);
    pen.lineWidth = 1.5;
    pen.strokeStyle = queryInk;
    const wide = Math.max(size, 3); // thin cells still show their line
    if (inside(i)) pen.strokeRect(kLeft - 1, kTop + i * size - 1, this.side + 1, wide + 1);
    pen.strokeStyle = keyInk;
    if (inside(j)) pen.strokeRect(kLeft + j * size - 1, kTop - 1, wide + 1, this.side + 1);
    pen.restore();
    if (!dashed && inside(i) && inside(j)) {
      pen.lineWidth = 3;
      pen.strokeStyle = keyInk;
      pen.strokeRect(kLeft + j * size - 0.5, kTop + i * size - 0.5, wide, wide);
    }
  }
}

// The line at the foot of the page and what is said aloud, always with the contribution beside the weight.
export function readingOf(data: Inspection, spot: Spot): { nodes: (Node | string)[]; spoken: string } {
  const { layer, head, query, key } = spot;
  const weight = data.weight(spot);
  const strong = document.createElement("strong");
  const from = data.tokens[query];
  const to = data.tokens[key];
  let share: string;
  let reach = "";
  let spokenShare: string;
  if (key > query) {
    share = spokenShare = "masked: the key comes later";
  } else if (weight === null) {
    share = spokenShare = "not in this page";
  } else {
    share = fixed(weight);
    reach = ` · contribution ${fixed(weight * data.norm(layer, head, key))}`;
    spokenShare = fixed(weight, 2);
  }
  strong.textContent = share;
  return {
    nodes: [`layer ${layer} head ${head} · `, tokenNode(from), " → ", tokenNode(to), " ", strong, reach],
    spoken:
      `layer ${layer} head ${head}, query '${tokenSpoken(from)}' → '${tokenSpoken(to)}' ${spokenShare}` +
      (reach ? `, contribution ${fixed(weight! * data.norm(layer, head, key), 2)}` : ""),
  };
}
