// Debian's Chromium, headless, on a page from disk, with an ear on everything that goes wrong in it.

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const { chromium } = createRequire(new URL("../../web/package.json", import.meta.url))("playwright-core");

export async function launch() {
  const folder = await mkdtemp(join(tmpdir(), "regard-web-"));
  const browser = await chromium.launchPersistentContext(join(folder, "profile"), {
    executablePath: process.env.REGARD_CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    viewport: { width: 1440, height: 900 },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
  return {
    browser,
    // Opens an HTML file, or HTML text, and notes errors and every request but the file's own.
    async open(source, { hash = "", ...options } = {}) {
      let path = source;
      if (source.startsWith("<")) {
        path = join(folder, `page-${Math.random().toString(36).slice(2)}.html`);
        await writeFile(path, source);
      }
      const url = pathToFileURL(path).href;
      const tab = await browser.newPage();
      if (options.viewport) await tab.setViewportSize(options.viewport);
      if (options.media) await tab.emulateMedia(options.media);
      const wrong = [];
      tab.on("console", (message) => ["error", "warning"].includes(message.type()) && wrong.push(message.text()));
      tab.on("pageerror", (error) => wrong.push(String(error)));
      tab.on("request", (request) => request.url().split("#")[0] !== url && wrong.push(`request: ${request.url()}`));
      await tab.goto(url + hash);
      return { tab, wrong };
    },
    async close() {
      await browser.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
