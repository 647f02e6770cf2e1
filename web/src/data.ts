// The numbers of one captured prompt, as the program wrote them into the page. Arrays are little-endian
// f32 in base64 and stay encoded: reading a row decodes only the row, so a page of 48 MB opens at once.

export interface Spot {
  layer: number;
  head: number;
  query: number;
  key: number;
}

// Which rows of the maps are in the page. A row of query i holds keys 0 .. i: the model is causal.
//   all: every row of every head    head: every row of the locked head, one row of the others
//   row: one row of every head
export type Kept = "all" | "head" | "row";

interface RowsOfHead {
  first: number; // the first query whose row is here; the others follow
  rows: number;
  weights: string; // rows one after the other
  scores: string;
}

interface Written {
  version: number;
  model: string;
  ids: number[];
  tokens: string[];
  layers: number;
  heads: number;
  locked: Spot;
  kept: Kept;
  entropy: string; // [layers, heads, tokens], in nats
  norms: string; // [layers, heads, tokens], ‖v_j W_O‖ of key j
  maps: RowsOfHead[]; // [layers · heads]
}

export class Inspection {
  readonly tokens: string[];
  readonly ids: number[];
  readonly model: string;
  readonly layers: number;
  readonly heads: number;
  readonly kept: Kept;
  readonly locked: Spot;
  readonly count: number; // tokens
  private readonly entropies: Floats;
  private readonly norms: Floats;
  private readonly maps: { first: number; rows: number; weights: Floats; scores: Floats }[];

  constructor(written: Written) {
    this.tokens = written.tokens;
    this.ids = written.ids;
    this.model = written.model;
    this.layers = written.layers;
    this.heads = written.heads;
    this.kept = written.kept;
    this.locked = written.locked;
    this.count = written.tokens.length;
    this.entropies = new Floats(written.entropy);
    this.norms = new Floats(written.norms);
    this.maps = written.maps.map((map) => ({
      first: map.first,
      rows: map.rows,
      weights: new Floats(map.weights),
      scores: new Floats(map.scores),
    }));
  }

  private map(layer: number, head: number) {
    return this.maps[layer * this.heads + head];
  }

  has(layer: number, head: number, query: number): boolean {
    const map = this.map(layer, head);
    return query >= map.first && query < map.first + map.rows;
  }

  whole(layer: number, head: number): boolean {
    return this.map(layer, head).rows === this.count;
  }

  // The row of a query against keys 0 .. query, or null when it is not in the page.
  weights(layer: number, head: number, query: number): Float32Array | null {
    if (!this.has(layer, head, query)) return null;
    const map = this.map(layer, head);
    return map.weights.slice(triangle(query) - triangle(map.first), query + 1);
  }

  scores(layer: number, head: number, query: number): Float32Array | null {
    if (!this.has(layer, head, query)) return null;
    const map = this.map(layer, head);
    return map.scores.slice(triangle(query) - triangle(map.first), query + 1);
  }

  weight(spot: Spot): number | null {
    if (!this.has(spot.layer, spot.head, spot.query)) return null;
    if (spot.key > spot.query) return 0;
    const map = this.map(spot.layer, spot.head);
    return map.weights.at(triangle(spot.query) - triangle(map.first) + spot.key);
  }

  // Every weight of a whole map, row after row.
  triangle(layer: number, head: number): Float32Array | null {
    if (!this.whole(layer, head)) return null;
    return this.map(layer, head).weights.slice(0, triangle(this.count));
  }

  // ‖v_key W_O‖; times the weight it is the key's contribution.
  norm(layer: number, head: number, key: number): number {
    return this.norms.at((layer * this.heads + head) * this.count + key);
  }

  entropy(layer: number, head: number, query: number): number {
    return this.entropies.at((layer * this.heads + head) * this.count + query);
  }

  // Entropy over ln of the allowed keys. A row with one allowed key has no ratio.
  entropyRatio(layer: number, head: number, query: number): number | null {
    return query === 0 ? null : this.entropy(layer, head, query) / Math.log(query + 1);
  }
}

// Elements before row `row` of a lower triangle.
const triangle = (row: number): number => (row * (row + 1)) / 2;

// f32 numbers in base64: three bytes are four letters, so any run is decoded alone.
class Floats {
  constructor(private readonly base64: string) {}

  slice(first: number, count: number): Float32Array {
    const begin = Math.floor((first * 4) / 3);
    const end = Math.ceil(((first + count) * 4) / 3);
    const bytes = atob(this.base64.slice(begin * 4, end * 4));
    const view = new DataView(new ArrayBuffer(count * 4));
    const skip = first * 4 - begin * 3;
    for (let i = 0; i < count * 4; ++i) view.setUint8(i, bytes.charCodeAt(skip + i));
    const numbers = new Float32Array(count);
    for (let i = 0; i < count; ++i) numbers[i] = view.getFloat32(i * 4, true);
    return numbers;
  }

  at(index: number): number {
    return this.slice(index, 1)[0];
  }
}

// Reads the page's data block. Throws an Error whose message is for the reader of the page.
export function readInspection(text: string): Inspection {
  const written = JSON.parse(text) as Written | string;
  if (typeof written === "string") {
    throw new Error("This page holds no data yet. Write one with: regard inspect -p PROMPT --html FILE");
  }
  if (written.version !== 1) {
    throw new Error(`This page reads data of version 1, not ${written.version}. Write it again with regard inspect.`);
  }
  return new Inspection(written);
}
