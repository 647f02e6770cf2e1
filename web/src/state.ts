// What the reader looks at: a locked spot, and over it a preview that lasts while something is pointed at.
// The locked spot lives in the address too, so that a link shows the same thing.

import type { Inspection, Spot } from "./data";

export type Colour = "weight" | "entropy";
// Who moved: a pointer (said by colour only), the keyboard or a lock (said aloud too).
export type Cause = "pointer" | "keyboard" | "lock";

export class State {
  locked: Spot;
  colour: Colour = "weight";
  private over: Partial<Spot> | null = null;
  private readonly listeners: ((cause: Cause) => void)[] = [];

  constructor(private readonly data: Inspection) {
    this.locked = this.mend(data.locked, data.locked);
    this.readAddress();
    window.addEventListener("hashchange", () => {
      this.readAddress();
      this.changed("lock");
    });
  }

  get shown(): Spot {
    return this.over ? this.mend({ ...this.locked, ...this.over }, this.over) : this.locked;
  }

  get previewing(): boolean {
    return this.over !== null;
  }

  onChange(listener: (cause: Cause) => void): void {
    this.listeners.push(listener);
  }

  preview(part: Partial<Spot> | null, cause: Cause): void {
    // A pointer at rest over what is drawn anew reports itself again.
    if (same(part, this.over)) return;
    this.over = part;
    this.changed(cause);
  }

  lock(part: Partial<Spot>): void {
    this.locked = this.mend({ ...this.locked, ...part }, part);
    this.over = null;
    this.writeAddress();
    this.changed("lock");
  }

  setColour(colour: Colour): void {
    this.colour = colour;
    this.writeAddress();
    this.changed("pointer");
  }

  // A query sees only keys up to itself. A key that was asked for stays where it is (and is shown as
  // masked); one that was left behind by a new query moves to that query's largest weight.
  private mend(spot: Spot, asked: Partial<Spot>): Spot {
    if (spot.key <= spot.query || asked.key !== undefined) return spot;
    const weights = this.data.weights(spot.layer, spot.head, spot.query);
    return { ...spot, key: weights ? largest(weights) : spot.query };
  }

  private changed(cause: Cause): void {
    for (const listener of this.listeners) listener(cause);
  }

  private writeAddress(): void {
    const { layer, head, query, key } = this.locked;
    const hash = `#layer=${layer}&head=${head}&query=${query}&key=${key}&colour=${this.colour}`;
    // The history holds one entry for the page; an opaque origin may forbid writing it.
    try {
      history.replaceState(null, "", hash);
    } catch {
      location.hash = hash;
    }
  }

  private readAddress(): void {
    const said = new URLSearchParams(location.hash.slice(1));
    const read = (name: string, count: number, otherwise: number): number => {
      const text = said.get(name) ?? "";
      const value = /^\d+$/.test(text) ? Number(text) : otherwise;
      return value < count ? value : otherwise;
    };
    const { layers, heads, count } = this.data;
    this.locked = {
      layer: read("layer", layers, this.locked.layer),
      head: read("head", heads, this.locked.head),
      query: read("query", count, this.locked.query),
      key: read("key", count, this.locked.key),
    };
    const colour = said.get("colour");
    if (colour === "weight" || colour === "entropy") this.colour = colour;
  }
}

function same(a: Partial<Spot> | null, b: Partial<Spot> | null): boolean {
  if (a === null || b === null) return a === b;
  return a.layer === b.layer && a.head === b.head && a.query === b.query && a.key === b.key;
}

export function largest(weights: Float32Array): number {
  let best = 0;
  for (let i = 1; i < weights.length; ++i) if (weights[i] > weights[best]) best = i;
  return best;
}
