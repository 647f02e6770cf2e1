// All heads at once, layers down and heads across: the weight of the locked query on the locked key, or
// how spread the query's row is.

import { css, drawLegend, inkOn, colourOf, weightColour } from "./colour";
import type { Inspection } from "./data";
import { giveStop, move } from "./roving";
import type { Colour, State } from "./state";
import { brief, tokenNode } from "./text";

export class Heads {
  private readonly node = document.getElementById("heads")!;
  private readonly meaning = document.getElementById("heads-meaning")!;
  private readonly legend = document.getElementById("heads-legend")!;
  private readonly cells: HTMLElement[] = []; // [layers · heads]
  private readonly columnNames: HTMLElement[] = [];
  private readonly rowNames: HTMLElement[] = [];

  constructor(private readonly data: Inspection, private readonly state: State) {
    this.build();
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=colour]")) {
      input.addEventListener("change", () => this.state.setColour(input.value as Colour));
    }
    this.node.addEventListener("pointerover", (event) => {
      const at = this.placeOf(event.target);
      if (at) this.state.preview(at, "pointer");
    });
    this.node.addEventListener("pointerleave", () => this.state.preview(null, "pointer"));
    this.node.addEventListener("focusin", (event) => {
      const at = this.placeOf(event.target);
      if (!at) return;
      giveStop(this.cells, this.cellAt(at.layer, at.head));
      if ((event.target as Element).matches(":focus-visible")) this.state.preview(at, "keyboard");
    });
    this.node.addEventListener("focusout", () => this.state.preview(null, "pointer"));
    this.node.addEventListener("click", (event) => {
      const at = this.placeOf(event.target);
      if (at) this.state.lock(at);
    });
    this.node.addEventListener("keydown", (event) => this.pressed(event));
  }

  private build(): void {
    const { layers, heads } = this.data;
    this.node.setAttribute("aria-rowcount", String(layers + 1));
    this.node.setAttribute("aria-colcount", String(heads + 1));
    this.node.style.setProperty("--heads", String(heads));
    const make = (role: string, text: string, into: HTMLElement): HTMLElement => {
      const node = document.createElement("div");
      node.setAttribute("role", role);
      node.textContent = text;
      into.append(node);
      return node;
    };
    const names = make("row", "", this.node);
    make("columnheader", "", names).setAttribute("aria-label", "layer");
    for (let head = 0; head < heads; ++head) {
      const name = make("columnheader", String(head), names);
      name.setAttribute("aria-label", `head ${head}`);
      this.columnNames.push(name);
    }
    for (let layer = 0; layer < layers; ++layer) {
      const row = make("row", "", this.node);
      const name = make("rowheader", String(layer), row);
      name.setAttribute("aria-label", `layer ${layer}`);
      this.rowNames.push(name);
      for (let head = 0; head < heads; ++head) {
        const cell = make("gridcell", "", row);
        cell.tabIndex = -1;
        cell.dataset.layer = String(layer);
        cell.dataset.head = String(head);
        this.cells.push(cell);
      }
    }
  }

  private cellAt(layer: number, head: number): HTMLElement {
    return this.cells[layer * this.data.heads + head];
  }

  private placeOf(target: EventTarget | null): { layer: number; head: number } | null {
    const cell = target instanceof Element ? target.closest<HTMLElement>("[role=gridcell]") : null;
    return cell ? { layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) } : null;
  }

  private pressed(event: KeyboardEvent): void {
    const at = this.placeOf(event.target);
    if (!at) return;
    if (event.key === "Enter" || event.key === " ") this.state.lock(at);
    else {
      const to = move(event, { row: at.layer, column: at.head }, this.data.layers, this.data.heads);
      if (!to) return;
      this.cellAt(to.row, to.column).focus();
    }
    event.preventDefault();
  }

  render(): void {
    const { shown, locked, colour } = this.state;
    const { data } = this;
    for (let layer = 0; layer < data.layers; ++layer) {
      for (let head = 0; head < data.heads; ++head) {
        const cell = this.cellAt(layer, head);
        const value =
          colour === "weight"
            ? data.weight({ ...shown, layer, head })
            : data.entropyRatio(layer, head, shown.query);
        const rgb = value === null ? null : colour === "weight" ? weightColour(value) : colourOf(value);
        cell.style.backgroundColor = rgb ? css(rgb) : "";
        cell.style.color = rgb ? inkOn(rgb) : "";
        cell.textContent = value === null ? "–" : brief(value);
        const what = colour === "weight" ? "weight" : "entropy ratio";
        cell.setAttribute("aria-label", `layer ${layer} head ${head}, ${what} ${value === null ? "not known" : brief(value)}`);
        const isLocked = layer === locked.layer && head === locked.head;
        cell.setAttribute("aria-selected", String(isLocked));
        cell.classList.toggle("shown", layer === shown.layer && head === shown.head);
      }
    }
    this.rowNames.forEach((name, layer) => name.classList.toggle("on", layer === shown.layer));
    this.columnNames.forEach((name, head) => name.classList.toggle("on", head === shown.head));
    if (!this.cells.some((cell) => cell.tabIndex === 0)) this.cellAt(locked.layer, locked.head).tabIndex = 0;
    this.describe();
  }

  private describe(): void {
    const { shown, colour } = this.state;
    const { tokens } = this.data;
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=colour]")) {
      input.checked = input.value === colour;
    }
    if (colour === "entropy") {
      this.meaning.replaceChildren("Entropy of the row of ", tokenNode(tokens[shown.query]), " over ln keys");
      drawLegend(this.legend, false, "one key", "all alike");
      return;
    }
    this.meaning.replaceChildren("Weight of ", tokenNode(tokens[shown.query]), " on ", tokenNode(tokens[shown.key]));
    if (shown.key > shown.query) this.meaning.append(": masked, it comes later");
    else if (this.data.kept !== "all" && shown.query !== this.data.locked.query) {
      const back = document.createElement("button");
      back.type = "button";
      back.textContent = `Back to query ${this.data.locked.query}`;
      back.addEventListener("click", () => this.state.lock({ query: this.data.locked.query, key: this.data.locked.key }));
      this.meaning.append(". The page keeps one row of most heads. ", back);
    }
    drawLegend(this.legend, true, "weight", "");
  }
}
