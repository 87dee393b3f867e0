// Bundles a page for a browser: node bundle.mjs page.jsx page.js
import { build } from "esbuild";
import { fileURLToPath } from "node:url";

const [source, target] = process.argv.slice(2);
await build({
  entryPoints: [source],
  outfile: target,
  bundle: true,
  format: "iife",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  nodePaths: [fileURLToPath(new URL("node_modules", import.meta.url))],
});
