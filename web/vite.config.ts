// Builds dist/inspect.html: one file, script and style inside, and a policy that lets nothing else in.

import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

const sha256 = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

// Puts the one script and the one style sheet into the page. The policy names them by their hashes, so
// not even an inline script that data might smuggle in would run.
function oneFile(): Plugin {
  return {
    name: "one-file",
    enforce: "post",
    generateBundle(_options, bundle) {
      const page = bundle["inspect.html"];
      if (page?.type !== "asset") throw new Error("one-file: no inspect.html in the bundle");
      let script = "";
      let style = "";
      for (const [name, output] of Object.entries(bundle)) {
        if (output === page) continue;
        if (output.type === "chunk") script += output.code.trim();
        else if (name.endsWith(".css")) style += String(output.source).trim();
        else throw new Error(`one-file: ${name} cannot go into the page`);
        delete bundle[name];
      }
      if (/<\/(script|style)/i.test(script + style)) throw new Error("one-file: a closing tag inside script or style");
      const policy =
        `default-src 'none'; script-src ${sha256(script)}; style-src ${sha256(style)}; ` +
        `base-uri 'none'; form-action 'none'`;
      const html = String(page.source)
        .replace(/\s*<script type="module"[^>]*><\/script>/, "")
        .replace(/\s*<link rel="stylesheet"[^>]*>/, "")
        .replace("<meta charset=\"utf-8\" />", (meta) => `${meta}\n    <meta http-equiv="Content-Security-Policy" content="${policy}" />`)
        .replace("</head>", () => `<style>${style}</style>\n  </head>`)
        .replace("</body>", () => `  <script type="module">${script}</script>\n  </body>`);
      if (!html.includes(style) || !html.includes(script) || /(src|href)="/.test(html)) {
        throw new Error("one-file: the page did not take everything in");
      }
      page.source = html;
    },
  };
}

export default defineConfig({
  plugins: [oneFile()],
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    rollupOptions: { input: "inspect.html" },
  },
});
