// Bundles src/index.ts (and the CSS it imports) into legrad_widget/static/widget.{js,css}.
// The bundle is stored with every widget in every saved notebook, so its size is a budget, not a wish.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const BUDGET_BYTES = 70_000;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const watch = process.argv.includes("--watch");

const options = {
  absWorkingDir: here("."),
  entryPoints: { widget: "src/index.ts" },
  outdir: here("../legrad_widget/static"),
  bundle: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  legalComments: "none",
  logLevel: watch ? "info" : "warning",
};

if (watch) {
  await (await esbuild.context(options)).watch();
} else {
  await esbuild.build(options);
  const bytes = ["widget.js", "widget.css"].map((name) => readFileSync(`${options.outdir}/${name}`).length);
  const total = bytes[0] + bytes[1];
  console.log(`widget.js ${bytes[0]} + widget.css ${bytes[1]} = ${total} bytes (budget ${BUDGET_BYTES})`);
  if (total > BUDGET_BYTES) {
    console.error(`The bundle is ${total - BUDGET_BYTES} bytes over its budget.`);
    process.exit(1);
  }
}
