/** Every way from a text to markup, code or an address is refused by lint; and only these are. */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const HOME = dirname(dirname(fileURLToPath(import.meta.url)));
const BIOME = join(HOME, "node_modules", ".bin", "biome");

const SINKS = `
e.innerHTML = t;
e.innerHTML += t;
f(e.innerHTML);
e?.innerHTML;
e["innerHTML"] = t;
Object.assign(e, { innerHTML: t });
e.outerHTML = t;
e.insertAdjacentHTML("beforeend", t);
e.setHTML(t);
e.setHTMLUnsafe(t);
Document.parseHTMLUnsafe(t);
document.write(t);
document.writeln(t);
window.document.write(t);
e.ownerDocument.write(t);
document.execCommand("insertHTML", false, t);
new DOMParser().parseFromString(t, "text/html");
new XSLTProcessor();
new Range().createContextualFragment(t);
e.srcdoc = t;
eval(t);
globalThis.eval(t);
(0, eval)(t);
new Function(t);
Function(t)();
setTimeout("f()", 0);
setTimeout(\`f(\${t})\`, 0);
setInterval("f()", 0);
window.setTimeout("f()", 0);
e.onclick = t;
e.setAttribute("onclick", t);
e.setAttribute("srcdoc", t);
e.setAttribute("style", t);
e.setAttribute("href", t);
e.setAttribute(t, "x");
location.href = "javascript:f()";
location.assign(" JavaScript:f()");
e.href = \`javascript:\${t}\`;
f(<p dangerouslySetInnerHTML={{ __html: t }} />);
f(<a href={t}>x</a>);
f(<p onclick="f()">x</p>);
f(<iframe srcdoc={t} />);
f(<iframe title="x" src={t} />);
f(<object data={t} />);
f(<embed src={t} />);
f(<script>{t}</script>);
f(<style>{t}</style>);
f(<base href={t} />);
f(<link href={t} />);
f(<meta content={t} />);
f(<form action={t} />);`.trim();

const HARMLESS = `
e.textContent = t;
e.setAttribute("aria-label", t);
e.append(t);
setTimeout(f, 0);
once(f);
f(<p onClick={f}>{t}</p>);
f(<button type="button" style={{ left: t }}>{t}</button>);`.trim();

function refused(lines: readonly string[]): Set<number> {
  const folder = mkdtempSync(join(tmpdir(), "liw-lint-"));
  const file = join(folder, "planted.jsx");
  writeFileSync(file, lines.map((line) => `{ ${line} }`).join("\n"));
  try {
    const options = ["--max-diagnostics=none", "--reporter=github"];
    const stdio: ["ignore", "pipe", "pipe"] = ["ignore", "pipe", "pipe"];
    execFileSync(BIOME, ["lint", `--config-path=${HOME}`, ...options, file], {
      encoding: "utf8",
      stdio,
    });
    return new Set();
  } catch (error) {
    const { stdout } = error as { stdout: string };
    return new Set(
      [...stdout.matchAll(/^::error title=(?:plugin|lint\/security).*?,line=(\d+),/gm)].map(
        ([, at]) => Number(at),
      ),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it("refuses every sink, each on its own, and nothing else", () => {
  const sinks = SINKS.split("\n");
  const harmless = HARMLESS.split("\n");
  const lines = refused([...sinks, ...harmless]);
  expect(sinks.filter((_, i) => !lines.has(i + 1))).toEqual([]);
  expect(harmless.filter((_, i) => lines.has(sinks.length + i + 1))).toEqual([]);
}, 60_000);
