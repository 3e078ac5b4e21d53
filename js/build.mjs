// Builds one self-contained ESM bundle for every widget, for every part that a widget loads when
// it is needed, and for the host of exported pages.
//
//   node build.mjs            ../llm_interp_widgets/static/<name>.js
//   node build.mjs --out DIR  DIR/<name>.js
//
// Style sheets are minified and inlined as text. A widget bundle above the budget fails the build,
// because every saved notebook carries a copy of it, deflated and as base64 text, for every widget
// it shows (`packed` in export/bundles.py). `words.json` lists what each bundle can say.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deflateSync } from "node:zlib";
import { build, transform } from "esbuild";

const BUDGET = 36_000;

const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string" } } });
const out = resolve(values.out ?? join(here, "..", "llm_interp_widgets", "static"));

const cssAsText = {
  name: "css-as-text",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const source = await readFile(path, "utf8");
      const { code } = await transform(source, { loader: "css", minify: true, charset: "utf8" });
      return { contents: tight(code), loader: "text" };
    });
  },
};

/** Without the white space that esbuild leaves in the values of custom properties. */
function tight(css) {
  return css.trim().replace(/(?<=[,(])\s+|\s+(?=\))|(?<=--[\w-]+:)\s+/g, "");
}

const words = await readFile(join(here, "src", "words.ts"), "utf8");

const widgets = (await readdir(join(here, "src", "widgets")))
  .filter((name) => name.endsWith(".tsx"))
  .map((name) => join(here, "src", "widgets", name))
  .sort();
const parts = (await readdir(join(here, "src", "parts")))
  .map((name) => join(here, "src", "parts", name))
  .sort();
const entries = [...widgets, ...parts, join(here, "src", "host.ts")];

/** The words that an entry can say: a build in which each is a mark tells which are left. */
const constants = await import(
  `data:text/javascript,${encodeURIComponent((await transform(words, { loader: "ts" })).code)}`
);
async function wordsOf(options) {
  const marks = Object.keys(constants).map((name) => `export const ${name} = "liw:${name}:";`);
  const plugin = {
    name: "marks",
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]words\.ts$/ }, () => ({ contents: marks.join("\n"), loader: "ts" }));
    },
  };
  const { outputFiles } = await build({ ...options, plugins: [plugin, ...options.plugins] });
  const found = new Set(outputFiles[0].text.match(/liw:\w+(?=:)/g));
  return [...found].map((mark) => constants[mark.slice(4)]).sort();
}

await mkdir(out, { recursive: true });
const problems = [];
const said = {};
for (const entry of entries) {
  const name = basename(entry).replace(/\.tsx?$/, "");
  const options = {
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    target: "es2022",
    // The host stands in the page itself, whose other parts are ASCII, too.
    charset: name === "host" ? "ascii" : "utf8",
    legalComments: "none",
    // `h(…)` is shorter than the automatic runtime's calls: 1 kB a bundle.
    tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "F" } },
    inject: entry.endsWith(".tsx") ? [join(here, "jsx.mjs")] : [],
    plugins: [cssAsText],
    logLevel: "warning",
  };
  const result = await build(options);
  said[name] = await wordsOf(options);
  const code = result.outputFiles[0].text;
  const packed = deflateSync(code, { level: 9 }).toString("base64").length;
  if (name !== "host" && packed > BUDGET) {
    problems.push(`${name}.js takes ${packed} bytes in a notebook; the budget is ${BUDGET}.`);
  }
  // What a page under a strict policy adds to each bundle needs the name of what it hands out.
  if (name !== "host" && !/export\{[\w$]+ as default\};?\s*$/.test(code)) {
    problems.push(`${name}.js does not end with its default export.`);
  }
  if (/<\/script|<!--/i.test(code)) {
    problems.push(`${name}.js holds "</script" or "<!--" and cannot stand inside a page.`);
  }
  await writeFile(join(out, `${name}.js`), code);
  const kb = (size) => `${(size / 1000).toFixed(1).padStart(6)} kB`;
  const sizes = `${kb(Buffer.byteLength(code))}${kb(packed)} in a notebook`;
  console.log(`${name}.js`.padEnd(28) + sizes);
}
await writeFile(join(out, "words.json"), JSON.stringify(said));
if (problems.length > 0) {
  throw new Error(problems.join("\n"));
}
