// The page on made-up data, driven as a reader would: by pointer, by keyboard, by address.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";

import { launch } from "./browser.mjs";
import { page, sample, trophy } from "./sample.mjs";

let chromium;
before(async () => (chromium = await launch()));
after(async () => chromium.close());

const { data, truth } = sample();
const html = await page(data);

const cell = (tab, layer, head) => tab.locator(`#heads [data-layer="${layer}"][data-head="${head}"]`);
const chip = (tab, index) => tab.locator(`#strip [data-index="${index}"]`);
const reading = (tab) => tab.locator("#reading").textContent();
const address = (tab) => tab.evaluate(() => location.hash);
const locked = (layer, head, query, key, colour = "weight") =>
  `#layer=${layer}&head=${head}&query=${query}&key=${key}&colour=${colour}`;
// Drawing waits for the next frame.
const drawn = (tab) => tab.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
const spoken = async (tab, text) => {
  await tab.waitForFunction((wanted) => document.getElementById("spoken").textContent.startsWith(wanted), text, { timeout: 3000 });
};
const number = (text) => Number(text.replace("−", "-"));
const brief = (x) => (x >= 0.995 ? "1.0" : x < 0.005 ? "0" : x.toFixed(2).slice(1));

// The table of the row: [{key, weight, score, contribution}], and the sums below it.
async function row(tab) {
  await drawn(tab);
  const read = (part) =>
    tab.locator(`${part} tr`).evaluateAll((lines) =>
      lines.map((line) => ({ key: line.dataset.key, cells: [...line.children].map((one) => one.textContent) })),
    );
  return { keys: await read("#row-body"), foot: await read("#row-foot") };
}

async function sees(tab, layer, head, query) {
  const { keys, foot } = await row(tab);
  const weights = truth.weights[layer][head][query];
  assert.ok(keys.length > 0);
  for (const { key, cells } of keys) {
    const j = Number(key);
    assert.ok(Math.abs(number(cells[1]) - weights[j]) <= 0.5e-4 + 1e-9, `weight of key ${j}`);
    assert.ok(Math.abs(number(cells[2]) - truth.scores[layer][head][query][j]) <= 0.5e-3 + 1e-9, `score of key ${j}`);
    assert.ok(Math.abs(number(cells[3]) - weights[j] * truth.norms[layer][head][j]) <= 0.5e-4 + 1e-6, `contribution of key ${j}`);
  }
  const rest = foot.length === 2 ? number(foot[0].cells[1]) : 0;
  const sum = keys.reduce((total, { cells }) => total + number(cells[1]), rest);
  assert.ok(Math.abs(sum - 1) < 1e-3, `the bars sum to ${sum}`);
  assert.equal(foot.at(-1).cells[1], "1.0000");
}

test("opens from disk, alone, and says what a weight is", async () => {
  const { tab, wrong } = await chromium.open(html);
  assert.match(await tab.locator("#facts").textContent(), /sample\.gguf · 14 tokens · 30 layers × 9 heads/);
  assert.equal(await tab.locator(".sentence").textContent(), "Share of mixing in this layer and head; not a causal explanation.");
  assert.ok(await tab.locator(".sentence").isVisible());
  assert.match(await reading(tab), /^layer 16 head 3 · ␣it → ␣trophy \d\.\d{4} · contribution \d/);
  assert.equal(await tab.locator("#ids").textContent(), data.ids.join(","));
  assert.equal(await chip(tab, 1).locator(".token").textContent(), "␣trophy");
  assert.equal(await chip(tab, 1).locator(".id").textContent(), String(data.ids[1]));
  const policy = await tab.locator("meta[http-equiv=Content-Security-Policy]").getAttribute("content");
  assert.match(policy, /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'; base-uri 'none'/);
  await sees(tab, 16, 3, 9);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("the policy stops scripts and requests that are not its own", async () => {
  const { tab, wrong } = await chromium.open(html);
  const ran = await tab.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "window.smuggled = true";
    document.body.append(script);
    const fetched = await fetch("data:,x").then(() => true, () => false);
    return { smuggled: "smuggled" in window, fetched };
  });
  assert.deepEqual(ran, { smuggled: false, fetched: false });
  assert.ok(wrong.length > 0, "the browser reports the breach");
  await tab.close();
});

test("every head shows its number, by weight and by entropy", async () => {
  const { tab, wrong } = await chromium.open(html);
  const cells = () =>
    tab.locator("#heads [role=gridcell]").evaluateAll((all) => all.map((one) => [one.textContent, one.getAttribute("aria-label")]));
  const byWeight = await cells();
  assert.equal(byWeight.length, 270);
  byWeight.forEach(([text, label], map) => {
    const weight = truth.weights[Math.floor(map / 9)][map % 9][9][1];
    assert.equal(text, brief(weight));
    assert.equal(label, `layer ${Math.floor(map / 9)} head ${map % 9}, weight ${brief(weight)}`);
  });
  await tab.locator("label", { hasText: "entropy" }).click();
  await drawn(tab);
  (await cells()).forEach(([text], map) => {
    assert.equal(text, brief(truth.entropy[Math.floor(map / 9)][map % 9][9] / Math.log(10)));
  });
  assert.equal(await address(tab), locked(16, 3, 9, 1, "entropy"));
  await chip(tab, 0).click();
  await tab.mouse.move(2, 2);
  await drawn(tab);
  assert.equal((await cells())[0][0], "–", "one key has no entropy ratio");
  assert.match(await tab.locator("#row-entropy").textContent(), /one key is allowed/);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("a click on a head locks it, pointing only previews it", async () => {
  const { tab, wrong } = await chromium.open(html);
  await cell(tab, 4, 8).hover();
  await drawn(tab);
  assert.match(await tab.locator("#row-meaning").textContent(), /^Layer 4 head 8/);
  assert.ok(await tab.locator("#row-preview").isVisible());
  assert.equal(await address(tab), "");
  await sees(tab, 4, 8, 9);
  await tab.mouse.move(2, 2);
  await drawn(tab);
  assert.match(await tab.locator("#row-meaning").textContent(), /^Layer 16 head 3/);

  await cell(tab, 4, 8).click();
  await tab.mouse.move(2, 2);
  await drawn(tab);
  assert.match(await tab.locator("#row-meaning").textContent(), /^Layer 4 head 8/);
  assert.ok(await tab.locator("#row-preview").isHidden());
  assert.equal(await address(tab), locked(4, 8, 9, 1));
  assert.equal(await cell(tab, 4, 8).getAttribute("aria-selected"), "true");
  assert.equal(await cell(tab, 16, 3).getAttribute("aria-selected"), "false");
  await sees(tab, 4, 8, 9);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("tokens set the query and the key", async () => {
  const { tab, wrong } = await chromium.open(html);
  await chip(tab, 12).click();
  await tab.mouse.move(2, 2);
  assert.equal(await address(tab), locked(16, 3, 12, 1));
  await sees(tab, 16, 3, 12);
  await chip(tab, 7).click({ modifiers: ["Shift"] });
  assert.equal(await address(tab), locked(16, 3, 12, 7));
  await tab.locator("#main .tokens label", { hasText: "key" }).click();
  await chip(tab, 4).click();
  assert.equal(await address(tab), locked(16, 3, 12, 4));
  // A later key is masked, and said to be.
  await chip(tab, 13).click();
  await tab.mouse.move(2, 2);
  await drawn(tab);
  assert.match(await reading(tab), /masked/);
  assert.match(await chip(tab, 13).getAttribute("aria-label"), /masked, key$/);
  // A query before the key takes its own largest weight along.
  await tab.locator("#main .tokens label", { hasText: "query" }).click();
  await chip(tab, 3).click();
  const weights = truth.weights[16][3][3];
  assert.equal(await address(tab), locked(16, 3, 3, weights.indexOf(Math.max(...weights))));
  // So does a click in the table of the row.
  await tab.locator("#row-body tr[data-key='2'] button").click();
  assert.equal(await address(tab), locked(16, 3, 3, 2));
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("the map reads what is under the pointer", async () => {
  const { tab, wrong } = await chromium.open(html, { viewport: { width: 1440, height: 1200 } });
  const box = await tab.locator("#canvas").boundingBox();
  const at = async (x, y) => {
    await tab.mouse.move(box.x + x, box.y + y);
    await drawn(tab);
    return reading(tab);
  };
  const side = box.height - 86;
  const middle = (index) => (index + 0.5) * (side / 14);
  for (const [query, key] of [[0, 0], [9, 1], [13, 13], [12, 5]]) {
    const weight = truth.weights[16][3][query][key];
    assert.match(await at(104 + middle(key), 84 + middle(query)), new RegExp(`${weight.toFixed(4)} · contribution`), `cell ${query}, ${key}`);
  }
  assert.match(await at(104 + middle(9), 84 + middle(2)), /masked/);
  await tab.mouse.click(box.x + 104 + middle(5), box.y + 84 + middle(12));
  assert.equal(await address(tab), locked(16, 3, 12, 5));
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("the canvas is coloured by weight, grey above the diagonal", async () => {
  const { tab } = await chromium.open(html);
  const colours = await tab.evaluate(() => {
    const canvas = document.getElementById("canvas");
    const side = canvas.height / devicePixelRatio - 86;
    const pen = canvas.getContext("2d");
    const read = (query, key) => {
      const size = side / 14;
      const at = [104 + key * size + 4, 84 + query * size + 4].map((x) => Math.round(x * devicePixelRatio));
      return [...pen.getImageData(at[0], at[1], 1, 1).data].slice(0, 3).join();
    };
    return { one: read(0, 0), masked: read(3, 9), other: read(6, 12), faint: read(13, 0) };
  });
  assert.equal(colours.one, "0,34,78", "a weight of 1 is the dark end");
  assert.equal(colours.masked, "233,235,239");
  assert.equal(colours.masked, colours.other);
  assert.notEqual(colours.faint, colours.masked);
  await tab.close();
});

test("all of it works from the keyboard, and is said aloud", async () => {
  const { tab, wrong } = await chromium.open(html);
  const focus = () => tab.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.id);

  await cell(tab, 16, 3).focus();
  await tab.keyboard.press("ArrowDown");
  await tab.keyboard.press("ArrowRight");
  assert.match(await focus(), /^layer 17 head 4, weight/);
  await drawn(tab);
  assert.match(await tab.locator("#row-meaning").textContent(), /^Layer 17 head 4/);
  assert.equal(await address(tab), "", "moving previews, it does not lock");
  const share = truth.weights[17][4][9][1].toFixed(2);
  await spoken(tab, `layer 17 head 4, query 'it' → 'trophy' ${share}`);
  await tab.keyboard.press("Enter");
  assert.equal(await address(tab), locked(17, 4, 9, 1));
  await tab.keyboard.press("Control+End");
  assert.match(await focus(), /^layer 29 head 8/);
  await tab.keyboard.press("ArrowRight");
  assert.match(await focus(), /^layer 29 head 8/, "the edge holds");
  await tab.keyboard.press("Home");
  assert.match(await focus(), /^layer 29 head 0/);
  await tab.keyboard.press("PageUp");
  assert.match(await focus(), /^layer 19 head 0/);
  await tab.keyboard.press("Escape");
  await drawn(tab);
  assert.match(await tab.locator("#row-meaning").textContent(), /^Layer 17 head 4/);

  // One stop a part: the grid is left with a single Tab, and reached again where it was left.
  await tab.keyboard.press("Tab");
  assert.equal(await focus(), "Show more tokens");
  await tab.keyboard.press("Shift+Tab");
  assert.match(await focus(), /^layer 19 head 0/);

  await tab.locator("#map").focus();
  await tab.keyboard.press("ArrowUp");
  await tab.keyboard.press("ArrowRight");
  await spoken(tab, `layer 17 head 4, query 'because' → 'did' ${truth.weights[17][4][8][2].toFixed(2)}`);
  const active = await tab.evaluate(() => {
    const grid = document.getElementById("map");
    const one = document.getElementById(grid.getAttribute("aria-activedescendant"));
    return [grid.getAttribute("role"), one.getAttribute("role"), one.parentElement.getAttribute("aria-rowindex"), one.getAttribute("aria-colindex"), one.textContent];
  });
  assert.deepEqual(active, ["grid", "gridcell", "9", "3", `query because, key did, ${truth.weights[17][4][8][2].toFixed(2)}`]);
  await tab.keyboard.press("Enter");
  assert.equal(await address(tab), locked(17, 4, 8, 2));

  await chip(tab, 8).focus();
  await tab.keyboard.press("ArrowRight");
  await tab.keyboard.press("ArrowRight");
  assert.match(await focus(), /^was, token 10, id 1370/);
  await tab.keyboard.press("Enter");
  assert.equal(await address(tab), locked(17, 4, 10, 2));
  await tab.keyboard.press("Home");
  await tab.keyboard.press("k");
  assert.equal(await address(tab), locked(17, 4, 10, 0));
  await tab.keyboard.press("c");
  assert.equal(await address(tab), locked(17, 4, 10, 0, "entropy"));
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("a question mark opens the help, Escape closes it", async () => {
  const { tab, wrong } = await chromium.open(html);
  await tab.keyboard.press("?");
  assert.ok(await tab.locator("#help").isVisible());
  await tab.keyboard.press("Escape");
  assert.ok(await tab.locator("#help").isHidden());
  await tab.locator("#help-open").click();
  await tab.locator("#help button").click();
  assert.ok(await tab.locator("#help").isHidden());
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("the address holds the state, and nonsense in it changes nothing", async () => {
  const { tab, wrong } = await chromium.open(html, { hash: locked(21, 2, 11, 4, "entropy") });
  assert.match(await reading(tab), /^layer 21 head 2 · ␣too → ␣fit/);
  assert.ok(await tab.locator("input[value=entropy]").isChecked());
  await sees(tab, 21, 2, 11);
  await tab.evaluate(() => (location.hash = "#layer=3&head=1"));
  await drawn(tab);
  assert.match(await reading(tab), /^layer 3 head 1 · ␣too → ␣fit/);
  await tab.evaluate(() => (location.hash = "#layer=30&head=-1&query=1e9&key=<b>&colour=red"));
  await drawn(tab);
  assert.match(await reading(tab), /^layer 3 head 1 · ␣too → ␣fit/);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("tokens are text, whatever they hold", async () => {
  const hostile = ["<img src=x onerror=alert(1)>", "</script><script>window.smuggled=1</script>", "\n\t", "\u202eevil", "\u200b", "", " ", "<!--", "\u0301", "👩‍🚀", "&lt;", "<0xE2>"];
  const made = sample({ tokens: hostile, layers: 2, heads: 2, locked: { layer: 1, head: 0, query: 9, key: 1 } });
  const { tab, wrong } = await chromium.open(await page(made.data));
  assert.equal(await tab.evaluate(() => "smuggled" in window || document.querySelector("img") !== null), false);
  const shown = await tab.locator("#strip .token").allTextContents();
  assert.deepEqual(shown, [
    "<img␣src=x␣onerror=alert(1)>", "</script><script>window.smuggled=1</script>", "⏎⇥", "U+202Eevil", "U+200B", "∅", "␣", "<!--", "◌\u0301", "👩‍🚀", "&lt;", "<0xE2>",
  ]);
  await chip(tab, 10).click();
  assert.match(await address(tab), /query=10/);
  assert.deepEqual(wrong, []);
  await tab.close();
});

for (const kept of ["head", "row"]) {
  test(`a long prompt keeps less of the maps and says so (${kept})`, async () => {
    const made = sample({ layers: 4, heads: 3, locked: { layer: 2, head: 1, query: 9, key: 1 }, kept });
    const { tab, wrong } = await chromium.open(await page(made.data));
    const meaning = () => tab.locator("#map-meaning").textContent();
    if (kept === "head") assert.doesNotMatch(await meaning(), /long/);
    else assert.match(await meaning(), /The prompt is long: this page keeps one row of this head, query 9/);
    // The grid knows the locked query for every head.
    for (const [layer, head] of [[0, 0], [3, 2]]) {
      assert.equal(await cell(tab, layer, head).textContent(), brief(made.truth.weights[layer][head][9][1]));
    }
    await cell(tab, 0, 2).click();
    await tab.mouse.move(2, 2);
    await drawn(tab);
    assert.match(await meaning(), kept === "head" ? /keeps the whole map of layer 2 head 1 only, and one row/ : /keeps one row/);
    assert.equal((await row(tab)).keys.length, 10);
    await chip(tab, 5).click();
    await tab.mouse.move(2, 2);
    await drawn(tab);
    assert.match(await tab.locator("#row-meaning").textContent(), /not in the page/);
    assert.equal(await cell(tab, 0, 0).textContent(), "–");
    await tab.locator("#heads-meaning button", { hasText: "Back to query 9" }).click();
    await drawn(tab);
    assert.equal(await cell(tab, 0, 0).textContent(), brief(made.truth.weights[0][0][9][1]));
    assert.deepEqual(wrong, []);
    await tab.close();
  });
}

test("many tokens: the map zooms, the table lists ten and the rest", async () => {
  const tokens = Array.from({ length: 700 }, (_, i) => ` w${i}`);
  const made = sample({ tokens, layers: 2, heads: 2, locked: { layer: 1, head: 1, query: 600, key: 3 } });
  const { tab, wrong } = await chromium.open(await page(made.data));
  const { keys, foot } = await row(tab);
  assert.equal(keys.length, 10);
  assert.equal(foot[0].cells[0], "591 other keys");
  const sum = keys.reduce((total, { cells }) => total + number(cells[1]), number(foot[0].cells[1]));
  assert.ok(Math.abs(sum - 1) < 1e-3);
  await tab.locator("#row-all").click();
  assert.equal((await row(tab)).keys.length, 601);
  assert.equal(await tab.locator("#zoom-span").textContent(), "700 tokens");
  await tab.locator("#map").focus();
  for (let i = 0; i < 5; ++i) await tab.keyboard.press("+");
  await drawn(tab);
  assert.match(await tab.locator("#zoom-span").textContent(), /^\d+–\d+ of 700$/);
  await tab.keyboard.press("Control+Home");
  await drawn(tab);
  assert.match(await tab.locator("#zoom-span").textContent(), /^0–\d+ of 700$/);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("a first token with the largest weight is explained", async () => {
  const made = sample({ sink: 9 });
  const { tab, wrong } = await chromium.open(await page(made.data));
  let sinks = 0;
  for (let head = 0; head < 9; ++head) {
    await cell(tab, 0, head).click();
    await drawn(tab);
    const weights = made.truth.weights[0][head][9];
    const isSink = weights.indexOf(Math.max(...weights)) === 0;
    sinks += isSink ? 1 : 0;
    assert.equal(await tab.locator("#sink").isVisible(), isSink, `head ${head}`);
    if (isSink) assert.match(await tab.locator("#sink").textContent(), new RegExp(`${weights[0].toFixed(2)}.*attention sink.*ranks \\d+ of 10`));
  }
  assert.ok(sinks > 0 && sinks < 9);
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("a prompt of one token", async () => {
  const made = sample({ tokens: ["The"], layers: 2, heads: 2, locked: { layer: 0, head: 0, query: 0, key: 0 } });
  const { tab, wrong } = await chromium.open(await page(made.data));
  assert.match(await reading(tab), /The → The 1\.0000/);
  assert.equal(await tab.locator("#sink").isVisible(), false);
  assert.deepEqual(wrong, []);
  await tab.close();
});

// Relative luminance and contrast of WCAG 2.
const contrast = (a, b) => {
  const light = (text) => {
    const [r, g, bl] = text.match(/[\d.]+/g).map((x) => {
      const c = Number(x) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * bl;
  };
  const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
  return (high + 0.05) / (low + 0.05);
};

for (const scheme of ["light", "dark"]) {
  test(`numbers can be read on every colour (${scheme})`, async () => {
    const { tab, wrong } = await chromium.open(html, { media: { colorScheme: scheme, reducedMotion: "reduce" } });
    const pairs = await tab.locator("#heads [role=gridcell], .meaning, .sentence, #row td, .chip .id").evaluateAll((all) =>
      all.map((one) => {
        let ground = one;
        while (getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        return [getComputedStyle(one).color, getComputedStyle(ground).backgroundColor];
      }),
    );
    assert.ok(pairs.length > 270);
    for (const [ink, ground] of pairs) assert.ok(contrast(ink, ground) >= 4.5, `${ink} on ${ground}: ${contrast(ink, ground)}`);
    const moving = await tab.evaluate(() => getComputedStyle(document.querySelector(".chip")).transitionDuration);
    assert.equal(moving, "0s");
    assert.deepEqual(wrong, []);
    await tab.close();
  });
}

test("fits a telephone", async () => {
  const { tab, wrong } = await chromium.open(html, { viewport: { width: 390, height: 800 } });
  assert.ok(await tab.evaluate(() => document.documentElement.scrollWidth <= 390));
  assert.deepEqual(wrong, []);
  await tab.close();
});

test("says what is wrong with the data", async () => {
  const bare = await readFile(new URL("../../web/dist/inspect.html", import.meta.url), "utf8");
  for (const [text, message] of [
    [bare, /holds no data yet/],
    [await page({ ...data, version: 2 }), /version 1, not 2/],
  ]) {
    const { tab, wrong } = await chromium.open(text);
    assert.match(await tab.locator("#problem").textContent(), message);
    assert.ok(await tab.locator("#main").isHidden());
    assert.deepEqual(wrong, []);
    await tab.close();
  }
});
