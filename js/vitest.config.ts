import { readFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const PREFIX = "\0css-text:";

/** Imports style sheets as text, as build.mjs does. */
const cssAsText = {
  name: "css-as-text",
  enforce: "pre" as const,
  resolveId(source: string, importer: string | undefined): string | null {
    if (!source.endsWith(".css") || importer === undefined) return null;
    return PREFIX + resolve(dirname(importer), source).slice(0, -".css".length);
  },
  async load(id: string): Promise<string | null> {
    if (!id.startsWith(PREFIX)) return null;
    const source = await readFile(`${id.slice(PREFIX.length)}.css`, "utf8");
    return `export default ${JSON.stringify(source)};`;
  },
};

export default defineConfig({
  plugins: [cssAsText],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  test: { include: ["tests/**/*.test.{ts,tsx}"], environment: "happy-dom" },
});
