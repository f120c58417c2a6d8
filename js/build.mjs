// Bundles the front end into legrad_widget/static:
//
//   widget.js, widget.css  src/index.ts: works without a kernel, and is stored with every widget in every saved
//                          notebook, so its size is a budget, not a wish
//   inspect.js, .css       src/inspect.ts: the inspector, with the widget in it for the sample that is open
//   live.js                src/live.ts, with its rules in it: needs a kernel, which hands it over (store/second.ts)
//   gallery.js             src/gallery.ts, the same for the inspector
//   page.js                src/page.ts: the script that runs the widget in a saved page
//   inspect-page.js        src/inspect-page.ts: the same for the inspector's gallery
//
// The sources of live.js and gallery.js simply import those of widget.js. Here these imports become numbers: widget.js
// and inspect.js keep a list of what is asked of it (src/core.ts), so that no module runs twice, and one signal is the same in both.
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, watch, writeFileSync } from "node:fs";
import { basename, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const BUDGETS = {
  "widget.js + widget.css": 60_000,
  "inspect.* beyond widget.*": 35_000,
  "live.js": 88_000,
  "gallery.js": 34_000,
  "page.js + inspect-page.js": 6_000,
};
const LOCAL_NAME = /\blg-[a-z]+(-[a-z]+)*\b/g;
/** Our own long property names, which neither the kernel, the host, the DOM nor `Object.keys` ever sees. */
const INTERNAL = `
  agreement anticipate answer askAgain byKeys cancellable chooseLayers chosen compareBy
  compareMethods comparedMethods comparison complain describedBy doubt drafts heard highlighted
  chooseHeads floors kernelless knobFault layerHeats layersWanted lookOf moveSpot naming onChange
  onMessage opaque outdated painted peek peeking phase pictureFault playing pointAt previewHead
  readers resetKnobs scaled seen setKnob setMethod shares stepHead stepLayer toggleHead
  toggleMatrix togglePlay trait entry heat look matrix preview spot stack
  cancel description element offer progress attending estimates heatOf lack lacks latest
  lensing overlay
  testid viewHeard commitView fetchHeads noteBy typed waiting sending complaint lacks percentile
  edit late second press want wait release openings sieve narrow
`;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const watching = process.argv.includes("--watch");
const out = here("../legrad_widget/static");

const common = {
  absWorkingDir: here("."),
  outdir: out,
  bundle: true,
  write: false,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  minify: !watching,
  sourcemap: watching ? "inline" : false,
  legalComments: "none",
  logLevel: "warning",
  mangleProps: new RegExp(`^(${INTERNAL.trim().replace(/\s+/g, "|")})$`),
};
const widget = { ...common, entryPoints: { widget: "src/index.ts" } };
const both = { ...common, entryPoints: { widget: "src/index.ts", inspect: "src/inspect.ts" } };
/** They stand in pages that are ASCII, and speak to the widget through an anywidget model: no name is shared. */
const pages = {
  ...common,
  entryPoints: { page: "src/page.ts", "inspect-page": "src/inspect-page.ts" },
  charset: "ascii",
  mangleProps: undefined,
};
/** A function of the widget's list that gives what src/live.ts exports, or src/gallery.ts. */
const second = (name) => ({
  ...common,
  stdin: {
    contents: `import { ${name} } from "./src/${name}"; made = ${name};`,
    resolveDir: here("."),
    sourcefile: name,
  },
  outfile: `${out}/${name}.js`,
  outdir: undefined,
  format: "iife",
  banner: { js: "export default core=>{let made;" },
  footer: { js: "return made}" },
});
const SECOND = ["live", "gallery"];

/** For names of properties that are new to no file. */
const all = {
  ...common,
  stdin: {
    contents: ["index", "inspect", ...SECOND].map((name) => `export * from "./src/${name}";`).join(""),
    resolveDir: here("."),
    sourcefile: "both",
  },
};

/** What every source file of the widget exports, by its path. */
async function exportsOfWidget() {
  const { metafile } = await esbuild.build({ ...widget, metafile: true });
  const sources = Object.keys(metafile.inputs).filter(
    (path) => path.endsWith(".ts") && path !== "src/core.ts",
  );
  const misplaced = sources.filter((path) => /: LiveStore\b/.test(readFileSync(here(path), "utf8")));
  if (misplaced.length)
    throw new Error(`Parts of live.js are imported by widget.js: ${misplaced.join(", ")}`);
  const alone = {
    entryPoints: sources,
    outdir: out,
    outbase: ".",
    bundle: false,
    write: false,
    metafile: true,
  };
  const { outputs } = (await esbuild.build({ absWorkingDir: here("."), format: "esm", ...alone })).metafile;
  return new Map(Object.values(outputs).map(({ entryPoint, exports }) => [entryPoint, exports]));
}

/** Imports of the widget's sources, as what `expression` makes of their names; and rules as minified text. */
const apart = (sources, expression) => ({
  name: "apart",
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const file = relative(here("."), path).replaceAll(sep, "/");
      const names = sources.get(file);
      if (!names) return;
      const pure = (name) => `export const ${name} = /* @__PURE__ */ core(${expression(`${file}:${name}`)});`;
      return { contents: names.map(pure).join("\n"), loader: "js" };
    });
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const rules = await esbuild.build({
        entryPoints: [path],
        minify: common.minify,
        write: false,
        bundle: true,
      });
      return { contents: rules.outputFiles[0].text.trim(), loader: "text" };
    });
  },
});

/** src/core.ts with what live.js asks for, in this order. */
const listing = (asked) => ({
  name: "listing",
  setup(build) {
    build.onLoad({ filter: /src\/core\.ts$/ }, () => {
      const parts = asked.map((name) => name.split(":"));
      const imports = parts.map(
        ([file, name], i) => `import { ${name} as part${i} } from "./${relative("src", file)}";`,
      );
      // Made when it is asked: modules that import one another in a circle are all there by then.
      const list = `export const core = (at) => [${parts.map((_, i) => `part${i}`)}][at];`;
      return { contents: [...imports, list].join("\n"), loader: "js" };
    });
  },
});

/** The finished files, by their names. */
async function build() {
  const sources = await exportsOfWidget();
  const plugins = [apart(sources, JSON.stringify)];
  const trials = await Promise.all(SECOND.map((name) => esbuild.build({ ...second(name), plugins })));
  const texts = trials.map(({ outputFiles }) => outputFiles[0].text);
  const asked = [...new Set([...texts.join().matchAll(/\bcore\("(.+?)"\)/g)].map(([, name]) => name))];
  const { mangleCache } = await esbuild.build({ ...all, mangleCache: {} });
  const numbered = apart(sources, (name) => asked.indexOf(name));
  const built = await Promise.all([
    // Written in this order: whoever sees a new first file finds the second one that it names.
    ...SECOND.map((name) => esbuild.build({ ...second(name), mangleCache, plugins: [numbered] })),
    esbuild.build(pages),
    esbuild.build({ ...both, mangleCache, plugins: [listing(asked)] }),
  ]);
  const made = built.flatMap(({ outputFiles }) => outputFiles);
  const files = shortenNames(Object.fromEntries(made.map(({ path, text }) => [basename(path), text])));
  for (const name of SECOND) {
    const hash = createHash("sha256").update(files[`${name}.js`]).digest("hex").slice(0, 16);
    for (const first of ["widget.js", "inspect.js"])
      files[first] = files[first].replace(`the-${name}-files-hash`, hash);
  }
  return files;
}

/** Class names and custom properties are written out in the sources ("lg-...") and numbered in the bundle. */
function shortenNames(files) {
  if (watching) return files;
  const uses = new Map();
  for (const [name] of Object.values(files).join().matchAll(LOCAL_NAME))
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const byUse = [...uses.keys()].sort((a, b) => uses.get(b) - uses.get(a));
  const short = new Map(byUse.map((name, i) => [name, `l${i.toString(36)}`]));
  return Object.fromEntries(
    Object.entries(files).map(([file, text]) => [file, text.replace(LOCAL_NAME, (name) => short.get(name))]),
  );
}

/** Write them, one after the other and as a whole, and say how large they are. */
async function write() {
  const files = await build();
  mkdirSync(out, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(`${out}/${name}`, text);
  const size = (...names) => names.reduce((sum, name) => sum + Buffer.byteLength(files[name]), 0);
  const widget = size("widget.js", "widget.css");
  return {
    "widget.js + widget.css": widget,
    "inspect.* beyond widget.*": size("inspect.js", "inspect.css") - widget,
    "live.js": size("live.js"),
    "gallery.js": size("gallery.js"),
    "page.js + inspect-page.js": size("page.js", "inspect-page.js"),
  };
}

if (watching) {
  let timer;
  const again = () => write().then((sizes) => console.log("built:", sizes), console.error);
  watch(here("src"), { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(again, 50);
  });
  await again();
} else {
  for (const [what, size] of Object.entries(await write())) {
    console.log(`${what}: ${size} bytes (budget ${BUDGETS[what]})`);
    if (size <= BUDGETS[what]) continue;
    console.error(`${what} is ${size - BUDGETS[what]} bytes over its budget.`);
    process.exitCode = 1;
  }
}
