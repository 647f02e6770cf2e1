// Made-up data in the page's format, for tests that need no model: any size, any kept rows, any tokens.

import { readFile } from "node:fs/promises";

const template = new URL("../../web/dist/inspect.html", import.meta.url);

// mulberry32: the same numbers on every machine.
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const base64 = (numbers) => Buffer.from(Float32Array.from(numbers).buffer).toString("base64");

export const trophy = ["The", " trophy", " did", " not", " fit", " in", " the", " bag", " because", " it", " was", " too", " big", "."];

// kept: "all", "head" or "row", as in web/src/data.ts. The weights also come back as plain arrays,
// truth.weights[layer][head][query][key], to compare the page with.
export function sample({ tokens = trophy, layers = 30, heads = 9, locked, kept = "all", seed = 1, sink = 3 } = {}) {
  const random = generator(seed);
  const count = tokens.length;
  locked ??= { layer: 16, head: 3, query: 9, key: 1 };
  const truth = { weights: [], scores: [], norms: [], entropy: [] };
  for (let layer = 0; layer < layers; ++layer) {
    for (const all of Object.values(truth)) all.push([]);
    for (let head = 0; head < heads; ++head) {
      const weights = [];
      const scores = [];
      const entropy = [];
      const toFirst = random() < 0.4 ? sink : 0;
      const sharp = 0.5 + 2 * random();
      for (let query = 0; query < count; ++query) {
        const row = Array.from({ length: query + 1 }, () => Math.fround(sharp * (random() + random() + random() - 1.5) * 2));
        row[0] += toFirst;
        if (layer === locked.layer && head === locked.head && query > locked.key) row[locked.key] += 3.5;
        const most = Math.max(...row);
        const sum = row.reduce((total, s) => total + Math.exp(s - most), 0);
        const share = row.map((s) => Math.fround(Math.exp(s - most) / sum));
        weights.push(share);
        scores.push(row.map(Math.fround));
        entropy.push(-share.reduce((total, p) => total + (p > 0 ? p * Math.log(p) : 0), 0));
      }
      truth.weights[layer].push(weights);
      truth.scores[layer].push(scores);
      truth.entropy[layer].push(entropy);
      truth.norms[layer].push(Array.from({ length: count }, (_, j) => Math.fround((j === 0 ? 0.1 : 1) * (0.5 + random()))));
    }
  }
  const maps = [];
  for (let layer = 0; layer < layers; ++layer) {
    for (let head = 0; head < heads; ++head) {
      const whole = kept === "all" || (kept === "head" && layer === locked.layer && head === locked.head);
      const first = whole ? 0 : locked.query;
      const rows = whole ? count : 1;
      const cut = (of) => base64(of[layer][head].slice(first, first + rows).flat());
      maps.push({ first, rows, weights: cut(truth.weights), scores: cut(truth.scores) });
    }
  }
  const data = {
    version: 1,
    model: "sample.gguf",
    ids: tokens.map((_, i) => 1000 + 37 * i),
    tokens,
    layers,
    heads,
    locked,
    kept,
    entropy: base64(truth.entropy.flat(2)),
    norms: base64(truth.norms.flat(2)),
    maps,
  };
  return { data, truth };
}

export async function page(data) {
  const html = await readFile(template, "utf8");
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  const [before, after] = html.split('"REGARD_DATA"');
  return before + json + after;
}
