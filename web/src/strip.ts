// The tokens of the prompt: which one looks (query), which one is looked at (key), and how much each
// gets in the query's row.

import type { Inspection } from "./data";
import { giveStop, move } from "./roving";
import type { State } from "./state";
import { brief, tokenNode, tokenSpoken } from "./text";

type Role = "query" | "key";

export class Strip {
  private readonly node = document.getElementById("strip")!;
  private readonly chips: { node: HTMLElement; weight: HTMLElement; bar: HTMLElement }[] = [];
  private sets: Role = "query";
  private seen = -1; // the locked query that was last brought into view

  constructor(private readonly data: Inspection, private readonly state: State) {
    data.tokens.forEach((token, index) => this.addChip(token, index));
    for (const input of document.querySelectorAll<HTMLInputElement>("input[name=sets]")) {
      input.checked = input.value === this.sets;
      input.addEventListener("change", () => (this.sets = input.value as Role));
    }
    document.getElementById("ids")!.textContent = data.ids.join(",");

    this.node.addEventListener("pointerover", (event) => {
      const index = this.indexOf(event.target);
      if (index !== null) this.state.preview({ [this.sets]: index }, "pointer");
    });
    this.node.addEventListener("pointerleave", () => this.state.preview(null, "pointer"));
    this.node.addEventListener("focusin", (event) => this.focused(event.target));
    this.node.addEventListener("focusout", () => this.state.preview(null, "pointer"));
    this.node.addEventListener("click", (event) => {
      const index = this.indexOf(event.target);
      if (index !== null) this.lock(index, event.shiftKey ? "key" : this.sets);
    });
    this.node.addEventListener("keydown", (event) => this.pressed(event));
  }

  private addChip(token: string, index: number): void {
    const node = document.createElement("div");
    node.className = "chip";
    node.setAttribute("role", "option");
    node.tabIndex = -1;
    node.dataset.index = String(index);
    const id = document.createElement("span");
    id.className = "id";
    id.textContent = String(this.data.ids[index]);
    const weight = document.createElement("span");
    weight.className = "share";
    const bar = document.createElement("span");
    bar.className = "bar";
    node.append(tokenNode(token), bar, id, weight);
    this.node.append(node);
    this.chips.push({ node, weight, bar });
  }

  private indexOf(target: EventTarget | null): number | null {
    const chip = target instanceof Element ? target.closest<HTMLElement>(".chip") : null;
    return chip ? Number(chip.dataset.index) : null;
  }

  private focused(target: EventTarget | null): void {
    const index = this.indexOf(target);
    if (index === null) return;
    giveStop(this.chips.map((chip) => chip.node), this.chips[index].node);
    if (this.chips[index].node.matches(":focus-visible")) this.state.preview({ [this.sets]: index }, "keyboard");
  }

  private lock(index: number, role: Role): void {
    this.state.lock({ [role]: index });
  }

  // A long prompt scrolls inside the strip, and only there.
  private bringIntoView(chip: HTMLElement): void {
    const { scrollTop, clientHeight } = this.node;
    const above = chip.offsetTop - 10;
    const below = chip.offsetTop + chip.offsetHeight + 4 - clientHeight;
    if (scrollTop > above || scrollTop < below) this.node.scrollTop = scrollTop > above ? above : below;
  }

  private pressed(event: KeyboardEvent): void {
    const index = this.indexOf(event.target);
    if (index === null) return;
    if (event.key === "Enter" || event.key === " ") this.lock(index, event.shiftKey ? "key" : this.sets);
    else if (event.key.toLowerCase() === "k" && !event.ctrlKey) this.lock(index, "key");
    else {
      // The strip is one line however it wraps: up and down step like left and right.
      const to = move(event, { row: 0, column: index }, 1, this.chips.length);
      if (!to) return;
      const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
      const next = Math.min(Math.max(to.column + step, 0), this.chips.length - 1);
      this.chips[next].node.focus();
    }
    event.preventDefault();
  }

  render(): void {
    const { layer, head, query, key } = this.state.shown;
    const weights = this.data.weights(layer, head, query);
    const masked = (index: number): boolean => index > query;
    this.chips.forEach(({ node, weight, bar }, index) => {
      const share = weights && !masked(index) ? weights[index] : null;
      node.classList.toggle("query", index === query);
      node.classList.toggle("key", index === key);
      node.classList.toggle("masked", masked(index));
      node.setAttribute("aria-selected", String(index === query || index === key));
      const roles = [index === query ? "query" : "", index === key ? "key" : ""].filter(Boolean).join(" and ");
      const said = masked(index) ? "masked" : share === null ? "not in this page" : `weight ${brief(share)}`;
      node.setAttribute(
        "aria-label",
        `${tokenSpoken(this.data.tokens[index])}, token ${index}, id ${this.data.ids[index]}, ${said}${roles && `, ${roles}`}`,
      );
      weight.textContent = share === null ? "–" : brief(share);
      bar.style.setProperty("--share", String(share ?? 0));
    });
    if (!this.chips.some((chip) => chip.node.tabIndex === 0)) this.chips[query].node.tabIndex = 0;
    if (this.seen !== this.state.locked.query) {
      this.seen = this.state.locked.query;
      this.bringIntoView(this.chips[this.seen].node);
    }
  }
}
