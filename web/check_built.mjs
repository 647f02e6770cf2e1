// Is dist/inspect.html what the sources build to? The built page is kept, so that building the program
// needs no Node; this holds the two together.

import { readFile } from "node:fs/promises";
import { build } from "vite";

const root = new URL(".", import.meta.url);
const output = await build({ root: root.pathname, logLevel: "warn", build: { write: false } });
const built = output.output.find((file) => file.fileName === "inspect.html").source;
const kept = await readFile(new URL("dist/inspect.html", root), "utf8");
if (built !== kept) {
  console.error("web/dist/inspect.html is not what web/src builds to: run `npm run build` in web/ and keep the result");
  process.exit(1);
}
console.log(`web/dist/inspect.html is up to date (${kept.length} characters)`);
