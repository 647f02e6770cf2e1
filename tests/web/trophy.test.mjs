// The page that the program wrote for "The trophy did not fit in the bag because it was too big." with
// SmolLM2-135M-Instruct:  REGARD_PAGE=page.html npm test
// With REGARD_ROW, the program's `inspect --layer 16 --head 3 --query 9 --json`, page and program are
// compared number by number.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { test } from "node:test";

import { launch } from "./browser.mjs";

const written = process.env.REGARD_PAGE;
const rowFile = process.env.REGARD_ROW;
const number = (text) => Number(text.replace("−", "-"));

test("the written page shows where “it” looks", { skip: written ? false : "REGARD_PAGE is not set" }, async () => {
  const chromium = await launch();
  try {
    const { tab, wrong } = await chromium.open(resolve(written), { hash: "#layer=16&head=3&query=9&key=1" });
    assert.match(await tab.locator("#facts").textContent(), /14 tokens · 30 layers × 9 heads/);
    assert.equal(await tab.locator("#ids").textContent(), "504,47922,1250,441,3230,281,260,8727,975,357,436,1147,2066,30");
    assert.match(await tab.locator("#reading").textContent(), /^layer 16 head 3 · ␣it → ␣trophy 0\.629\d · contribution \d/);
    assert.equal(await tab.locator("#heads [data-layer='16'][data-head='3']").textContent(), ".63");

    // Clicks another head and reads the row: layer 13 head 8 gives " trophy" 0.4247 in the reference.
    await tab.locator("#heads [data-layer='13'][data-head='8']").click();
    await tab.mouse.move(2, 2);
    const first = tab.locator("#row-body tr").first();
    await tab.waitForFunction(() => document.getElementById("row-meaning").textContent.startsWith("Layer 13 head 8"));
    assert.equal(await first.getAttribute("data-key"), "1");
    const weight = number(await first.locator("td.share").textContent());
    assert.ok(Math.abs(weight - 0.4247) < 2e-3, `layer 13 head 8 gives ${weight}`);
    assert.match(await tab.evaluate(() => location.hash), /#layer=13&head=8&query=9&key=1/);

    // Back by keyboard.
    await tab.locator("#heads [data-layer='13'][data-head='8']").focus();
    for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft", "Enter"]) {
      await tab.keyboard.press(key);
    }
    assert.match(await tab.evaluate(() => location.hash), /#layer=16&head=3&query=9&key=1/);
    await tab.waitForFunction(() =>
      document.getElementById("spoken").textContent.startsWith("layer 16 head 3, query 'it' → 'trophy' 0.63"),
    );

    if (rowFile) {
      const row = JSON.parse(await readFile(resolve(rowFile), "utf8"));
      const lines = await tab.locator("#row-body tr").evaluateAll((all) =>
        all.map((line) => ({ key: Number(line.dataset.key), cells: [...line.children].map((one) => one.textContent) })),
      );
      assert.equal(lines.length, 10);
      for (const { key, cells } of lines) {
        // Four digits are shown, three of a score: half a unit of the last, and 1e-5.
        assert.ok(Math.abs(number(cells[1]) - row.weights[key]) <= 6e-5, `weight of key ${key}`);
        assert.ok(Math.abs(number(cells[2]) - row.scores[key]) <= 5.1e-4, `score of key ${key}`);
        assert.ok(Math.abs(number(cells[3]) - row.contribution[key]) <= 6e-5, `contribution of key ${key}`);
      }
    }
    assert.deepEqual(wrong, []);
  } finally {
    await chromium.close();
  }
});
