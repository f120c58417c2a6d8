// Bundles src/index.ts (and the CSS it imports) into legrad_widget/static/widget.{js,css}, and src/page.ts, the
// script that runs it in a saved page, into page.js. The widget's bundle is stored with every widget in every
// saved notebook, so its size is a budget, not a wish.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

/** The aim of 60,000 is missed; parts that are loaded on demand are the way back to it. */
const BUDGET_BYTES = 96_000;
const LOCAL_NAME = /\blg-[a-z]+(-[a-z]+)*\b/g;
/** Our own long property names, which neither the kernel, the host, the DOM nor `Object.keys` ever sees. */
const INTERNAL = `
  agreement anticipate answer askAgain byKeys cancellable chooseLayers chosen compareBy
  compareMethods comparedMethods comparison complain describedBy doubt drafts heard highlighted
  chooseHeads floors kernelless knobFault layerHeats layersWanted lookOf moveSpot naming onChange
  onMessage opaque outdated painted peek peeking phase pictureFault playing pointAt previewHead
  readers resetKnobs scaled seen setKnob setMethod shares stepHead stepLayer tellView toggleHead
  toggleMatrix togglePlay trait entry heat look matrix preview spot stack
  cancel description element offer progress attend attending estimates heatOf lack lacks latest
  lensing overlay toggleLens toggleNorms
`;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const watch = process.argv.includes("--watch");

const common = {
  absWorkingDir: here("."),
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
const options = {
  ...common,
  entryPoints: { widget: "src/index.ts" },
  mangleProps: new RegExp(`^(${INTERNAL.trim().replace(/\s+/g, "|")})$`),
};
/** It stands in a page that is ASCII, and speaks to the widget through an anywidget model: no name is shared. */
const page = { ...common, entryPoints: { page: "src/page.ts" }, charset: "ascii" };

/** Class names and custom properties are written out in the sources ("lg-...") and numbered in the bundle. */
function shortenNames(files) {
  const texts = files.map((file) => readFileSync(file, "utf8"));
  const uses = new Map();
  for (const [name] of texts.join().matchAll(LOCAL_NAME)) uses.set(name, (uses.get(name) ?? 0) + 1);
  const byUse = [...uses.keys()].sort((a, b) => uses.get(b) - uses.get(a));
  const short = new Map(byUse.map((name, i) => [name, `l${i.toString(36)}`]));
  files.forEach((file, i) => {
    writeFileSync(
      file,
      texts[i].replace(LOCAL_NAME, (name) => short.get(name)),
    );
  });
}

if (watch) {
  for (const each of [options, page]) await (await esbuild.context(each)).watch();
} else {
  await Promise.all([options, page].map((each) => esbuild.build(each)));
  const files = ["widget.js", "widget.css"].map((name) => `${options.outdir}/${name}`);
  shortenNames(files);
  const bytes = files.map((file) => readFileSync(file).length);
  const total = bytes[0] + bytes[1];
  console.log(`widget.js ${bytes[0]} + widget.css ${bytes[1]} = ${total} bytes (budget ${BUDGET_BYTES})`);
  if (total > BUDGET_BYTES) {
    console.error(`The bundle is ${total - BUDGET_BYTES} bytes over its budget.`);
    process.exit(1);
  }
}
