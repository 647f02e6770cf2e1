// One query's row as a ranked table: how the head's mix is shared out, and what each share amounts to.

import type { Inspection } from "./data";
import { largest, type State } from "./state";
import { fixed, tokenNode } from "./text";

const kFirst = 10; // keys listed before the remainder

export class Row {
  private readonly body = document.getElementById("row-body") as HTMLTableSectionElement;
  private readonly foot = document.getElementById("row-foot")!;
  private readonly meaning = document.getElementById("row-meaning")!;
  private readonly entropy = document.getElementById("row-entropy")!;
  private readonly sink = document.getElementById("sink")!;
  private readonly tag = document.getElementById("row-preview")!;
  private readonly more = document.getElementById("row-all") as HTMLButtonElement;
  private all = false;
  private listed = ""; // what the lines were made of

  constructor(private readonly data: Inspection, private readonly state: State) {
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.render();
    });
    this.body.addEventListener("click", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("tr");
      if (row?.dataset.key) this.state.lock({ key: Number(row.dataset.key) });
    });
    this.body.addEventListener("pointerover", (event) => {
      const row = (event.target as Element).closest<HTMLElement>("tr");
      if (row?.dataset.key) this.state.preview({ key: Number(row.dataset.key) }, "pointer");
    });
    this.body.addEventListener("pointerleave", () => this.state.preview(null, "pointer"));
  }

  render(): void {
    const { layer, head, query, key } = this.state.shown;
    const { data } = this;
    this.tag.hidden = !this.state.previewing;
    this.meaning.replaceChildren(
      `Layer ${layer} head ${head}: where `,
      tokenNode(data.tokens[query]),
      ` (${query}) looks`,
    );
    const weights = data.weights(layer, head, query);
    const scores = data.scores(layer, head, query);
    if (!weights || !scores) {
      this.body.replaceChildren();
      this.listed = "";
      this.foot.replaceChildren();
      this.more.hidden = true;
      this.sink.hidden = true;
      this.meaning.append(`. This row is not in the page, which keeps only query ${data.locked.query} of this head.`);
      this.describeEntropy(layer, head, query);
      return;
    }

    const contributions = Array.from(weights, (weight, j) => weight * data.norm(layer, head, j));
    const ranked = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a] || a - b);
    // One key more than fits would make a remainder of one: list it instead.
    const keys = ranked.slice(0, this.all || ranked.length <= kFirst + 1 ? ranked.length : kFirst);
    for (const extra of [this.state.locked.key, key]) {
      if (extra <= query && !keys.includes(extra)) keys.push(extra);
    }
    // Lines that stay the same stay in place: a click that began on one ends on it.
    const listed = [layer, head, query, ...keys].join();
    if (listed !== this.listed) {
      this.listed = listed;
      this.list(keys, weights, scores, contributions);
    }
    for (const line of this.body.rows) {
      const on = line.dataset.key === String(key);
      line.classList.toggle("key", on);
      line.querySelector("button")!.setAttribute("aria-pressed", String(on));
    }
    this.describeRest(weights, keys);
    this.describeEntropy(layer, head, query);
    this.describeSink(weights, contributions);
  }

  private list(keys: number[], weights: Float32Array, scores: Float32Array, contributions: number[]): void {
    const { data } = this;
    const most = Math.max(...keys.map((j) => contributions[j]), Number.MIN_VALUE);

    const focused = document.activeElement?.closest<HTMLElement>("#row-body tr")?.dataset.key;
    this.body.replaceChildren(
      ...keys.map((j) => {
        const line = document.createElement("tr");
        line.dataset.key = String(j);
        const name = document.createElement("th");
        name.scope = "row";
        const button = document.createElement("button");
        button.type = "button";
        const place = document.createElement("span");
        place.className = "place";
        place.textContent = String(j);
        button.append(tokenNode(data.tokens[j]), place);
        name.append(button);
        line.append(
          name,
          number(fixed(weights[j]), "share", weights[j]),
          number(fixed(scores[j], 3)),
          number(fixed(contributions[j]), "reach", contributions[j] / most),
        );
        return line;
      }),
    );
    // The line that had the keyboard keeps it.
    if (focused) this.body.querySelector<HTMLElement>(`tr[data-key="${focused}"] button`)?.focus();
  }

  // What the listed keys leave, so that the column adds up to the whole row.
  private describeRest(weights: Float32Array, keys: number[]): void {
    const rest = weights.length - keys.length;
    const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
    const whole = sum(weights);
    const lines: HTMLElement[] = [];
    const line = (title: string, weight: number, kind: string): void => {
      const row = document.createElement("tr");
      row.className = kind;
      const name = document.createElement("th");
      name.scope = "row";
      name.textContent = title;
      row.append(name, number(fixed(weight), "share", weight), number(""), number(""));
      lines.push(row);
    };
    if (rest > 0) line(`${rest} other ${rest === 1 ? "key" : "keys"}`, whole - sum(keys.map((j) => weights[j])), "rest");
    line("all keys", whole, "whole");
    this.foot.replaceChildren(...lines);
    this.more.hidden = weights.length <= kFirst + 1;
    this.more.textContent = this.all ? `List only the first ${kFirst}` : `List all ${weights.length} keys`;
  }

  private describeEntropy(layer: number, head: number, query: number): void {
    const nats = this.data.entropy(layer, head, query);
    const ratio = this.data.entropyRatio(layer, head, query);
    this.entropy.textContent =
      ratio === null
        ? "Entropy: one key is allowed, so there is nothing to be spread over."
        : `Entropy ${fixed(nats, 3)} nats of ln ${query + 1} = ${fixed(Math.log(query + 1), 3)}: ratio ${fixed(ratio, 3)}, ` +
          `like ${fixed(Math.exp(nats), 1)} equal keys.`;
  }

  private describeSink(weights: Float32Array, contributions: number[]): void {
    const first = weights[0];
    this.sink.hidden = !(weights.length > 1 && largest(weights) === 0);
    if (this.sink.hidden) return;
    const rank = 1 + contributions.filter((value) => value > contributions[0]).length;
    const title = document.createElement("strong");
    title.textContent = `Why the first token? `;
    this.sink.replaceChildren(
      title,
      `It has the largest weight here, ${fixed(first, 2)}. Softmax must put its whole 1.00 somewhere, and many heads put what ` +
        `they do not need on the first token, which every query can see: an “attention sink” (Xiao et al. 2023). Its value ` +
        `vector is often short, so look at the contribution: here it ranks ${rank} of ${weights.length}.`,
    );
  }
}

// A cell with its number, and under it a bar as long as the share.
function number(text: string, kind?: "share" | "reach", share = 0): HTMLElement {
  const cell = document.createElement("td");
  cell.className = kind ? `number ${kind}` : "number";
  const digits = document.createElement("span");
  digits.textContent = text;
  cell.append(digits);
  if (kind) {
    const bar = document.createElement("span");
    bar.className = "bar";
    bar.style.setProperty("--share", String(Math.min(Math.max(share, 0), 1)));
    cell.append(bar);
  }
  return cell;
}
