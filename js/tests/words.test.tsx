/** Words: nothing is said but what words.ts holds, and all of it in the language in force. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { act } from "preact/test-utils";
import ts from "typescript";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { duration, ordinal } from "../src/format";
import type { WidgetModule } from "../src/model";
import type { JobState } from "../src/protocol.gen";
import { listed, phrase, say, speak } from "../src/say";
import attention from "../src/widgets/attention_browser";
import beeswarm from "../src/widgets/beeswarm";
import compare from "../src/widgets/compare";
import generation from "../src/widgets/generation_view";
import lime from "../src/widgets/lime_view";
import bars from "../src/widgets/shap_bar";
import force from "../src/widgets/shap_force";
import waterfall from "../src/widgets/shap_waterfall";
import highlighter from "../src/widgets/token_highlighter";
import * as W from "../src/words";
import { goldenData } from "./golden_collection";
import { browserTraits, Heads } from "./heads";
import {
  bytes,
  draw,
  KernelModel,
  progress,
  snapshot,
  subject,
  token,
  traits,
  wipe,
} from "./samples";

const ROOT = join(import.meta.dirname, "..");
const CHINESE = JSON.parse(
  readFileSync(join(ROOT, "..", "llm_interp_widgets", "words", "zh.json"), "utf8"),
) as Record<string, string>;
const LETTERS = /[A-Za-z]{2,}/;

beforeEach(() => speak({}));
afterEach(wipe);

describe("saying", () => {
  it("fills places, with elements too, and lets them stand where nothing fills them", () => {
    expect(say(W.RANK_OF, { rank: 1, count: 5 })).toBe("rank 1 of 5");
    const element = <bdi>x</bdi>;
    expect(phrase(W.WHY_TARGET, { target: element })).toEqual(["Why ", element, "?"]);
    expect(say(W.N_HEADS as string)).toBe("{n} heads");
    expect(listed(["a", "", false, "b"], W.COMMA)).toBe("a, b");
  });

  it("never looks for places in what fills them", () => {
    expect(say(W.WHY_TARGET, { target: "“{n}” $& {target}" })).toBe("Why “{n}” $& {target}?");
  });

  it("falls back to English for what is missing, odd or of another kind", () => {
    speak({ [W.TABLE]: "表格", [W.CANCEL]: 5, [W.N_HEADS]: "{m} 个头" });
    expect(say(W.TABLE)).toBe("表格");
    expect(say(W.CANCEL)).toBe("Cancel");
    expect(say(W.COPY_CSV)).toBe("Copy CSV");
    expect(say(W.N_HEADS, { n: 3 })).toBe("{m} 个头");
    for (const nothing of [undefined, null, 5, "zh", []]) {
      speak(nothing);
      expect(say(W.TABLE)).toBe("Table");
    }
  });

  it("counts and measures time in the language", () => {
    expect([1, 3, 11, 22, 101, 113].map(ordinal)).toEqual([
      "first",
      "third",
      "11th",
      "22nd",
      "101st",
      "113th",
    ]);
    speak(CHINESE);
    expect([1, 3, 11].map((n) => say(W.NTH_TOKEN, { nth: ordinal(n) }))).toEqual([
      "第一个词元",
      "第三个词元",
      "第 11 个词元",
    ]);
    expect([4, 125, 4320].map(duration)).toEqual(["4 秒", "2 分 05 秒", "1 小时 12 分"]);
  });
});

const cautious: Partial<JobState> = {
  status: "done",
  verdict: "converged",
  sentences: ["", ""],
  facts: [{ label: "标签", value: "1", level: "warn" }],
};
const chat = subject({
  method_title: "标题",
  inputs: [
    token("<s>", 0, { special: true }),
    ...["The", " \n", " capital"].map((text, i) => token(text, i + 1, { role: "user" })),
    token(" is", 4),
  ],
  outputs: [token(" Paris"), token(" the")],
});
const errors = bytes([0.1, 9, 0.1, 0.1, Number.NaN, 0.1, 9, 0.1, 0.1, 0.1]);
const scores = bytes([Number.NaN, 3.7, 1.2, 0, -3.4, 1, 2, 3, 4, 5]);
const totals = bytes([-16, -2, -0.3, -1, 0, 0]);
const full = snapshot({ subject: chat, scores, standard_error: errors, totals });
const shot = (more: Parameters<typeof progress>[0], own: Partial<typeof full> = {}) => ({
  ...full,
  state: progress(more),
  ...own,
});
const masked = {
  samples: 3,
  places: [0, 1, 2, 3, 4],
  masks: new DataView(Uint8Array.of(0b11111101, 0b10010010).buffer),
  values: bytes([15, -1, 9, 1, 6, -2]),
  proximity: bytes([1, 0.5, 0.25]),
  intercept: bytes([0.5, 0.25]),
  fit: bytes([0.9, 0.3]),
};
const alternatives = {
  tokens: [
    [" Paris", " the"],
    [" the", " it"],
  ],
  log_probs: bytes([-1, -2, -1, -2]),
};
const many = (): Record<string, unknown> => ({
  ...goldenData(),
  method_title: "标题",
  caution: "",
  facts: [],
});
const swarm = (more: Record<string, unknown>): Record<string, unknown> => ({
  data: many(),
  by: { kind: "word", groups: {} },
  ...{ selected: 0, output: 0, plot: "dots", color: "output", least: 2, rows: 3, ...more },
});
const heads = (more: Record<string, unknown>): Record<string, unknown> => {
  const given = browserTraits(more);
  const { stacks, ...rest } = given["subject"] as { stacks: { title: string }[] };
  const told = stacks.map((stack) => ({ ...stack, title: "自注意力", cannot: {}, facts: [] }));
  return { ...given, subject: { ...rest, caution: "", stacks: told } };
};

const VIEWS: [name: string, widget: WidgetModule, state: Record<string, unknown>][] = [
  ["a preview", highlighter, traits({ snapshot: shot({ preview: true, seconds: 9 }) })],
  ["a highlighter", highlighter, traits({ snapshot: shot(cautious), color_limit: 3, selected: 1 })],
  [
    "no effect",
    highlighter,
    traits({ snapshot: shot(cautious, { subject: { ...chat, unit: "score" } }) }),
  ],
  ["a queue", highlighter, traits({ snapshot: shot({ status: "queued" }) })],
  ["cancelled", waterfall, traits({ snapshot: shot({ status: "cancelled" }) })],
  ["nothing yet", waterfall, traits({ snapshot: {} })],
  ["a waterfall", waterfall, traits({ snapshot: shot(cautious), selected: 2 })],
  ["a force plot", force, traits({ snapshot: shot(cautious) })],
  ["bars", bars, traits({ snapshot: shot({ ...cautious, verdict: "unknown" }) })],
  ["LIME", lime, traits({ snapshot: shot(cautious), neighbourhood: masked, sample: 1 })],
  [
    "a generation",
    generation,
    traits({
      snapshot: shot(cautious),
      others: [],
      span: 1,
      alternatives,
      contrasts: [],
      contrast_shown: null,
      selected: 1,
    }),
  ],
  [
    "a comparison",
    compare,
    traits({
      snapshot: shot(cautious),
      others: [
        shot({ status: "failed" }, { job: "2", scores: bytes([1, -3, 2, 5, 1, 0, 0, 0, 0, 0]) }),
      ],
      labels: ["甲", "乙"],
      selected: 1,
    }),
  ],
  ["dots", beeswarm, swarm({})],
  ["dots by count", beeswarm, swarm({ color: "count", selected: null })],
  ["mean bars", beeswarm, swarm({ plot: "bars" })],
  ["places", beeswarm, swarm({ by: { kind: "position", groups: {} } })],
  ["a matrix", attention, heads({ selected: 1, key: 0, selected_heads: [[0, 0]] })],
  ["a ranking", attention, heads({ sort: "induction", least: 0.2 })],
  ["all heads", attention, heads({ head: [-1, -1], how: "rollout" })],
  ["lines", attention, heads({ mode: "lines" })],
  ["a text of a head", attention, heads({ mode: "text" })],
  ["two heads", attention, heads({ mode: "compare" })],
  ["a split", attention, heads({ mode: "why", selected: 1, key: 0 })],
];
/** What is not translated: names of keys, formats, units and people. */
const NAMES = [
  "Enter",
  "Escape",
  "Ctrl",
  "SVG",
  "PNG",
  "CSV",
  "Spearman",
  "rollout",
  "softmax",
  "logit",
  "position",
  "bias",
  "tiny",
];

/** Answers, frames and effects follow each other: lets them pass until a check holds. */
async function until(check: () => void): Promise<void> {
  for (let tries = 0; ; tries++) {
    await act(() => new Promise((done) => setTimeout(done, 20)));
    try {
      check();
      return;
    } catch (error) {
      if (tries > 100) throw error;
    }
  }
}

/** A connection is known by its snapshot: each model has one of its own. */
function modelOf(widget: WidgetModule, state: Record<string, unknown>): KernelModel {
  const own = { ...state, snapshot: { ...(state["snapshot"] as object) } };
  return widget === attention ? new Heads(own) : new KernelModel(own);
}

async function open(widget: WidgetModule, state: Record<string, unknown>): Promise<HTMLElement> {
  const model = modelOf(widget, state);
  const el = await draw(widget, model);
  if (widget === attention) {
    await until(() => expect(el.querySelector(".liw-heads-open .liw-pinned")).not.toBeNull());
  }
  for (const fold of el.querySelectorAll("details")) {
    await act(() => {
      fold.open = true;
      fold.dispatchEvent(new Event("toggle"));
    });
  }
  await act(() => el.querySelector<HTMLElement>("[role=application]")?.focus());
  return el;
}

/** Every text and every attribute that is shown or spoken. */
function said(el: Element): string[] {
  const found: string[] = [];
  for (const node of el.querySelectorAll("*")) {
    if (node.tagName === "STYLE") continue;
    for (const name of ["aria-label", "title", "placeholder", "alt", "aria-description"]) {
      found.push(node.getAttribute(name) ?? "");
    }
    for (const child of node.childNodes) {
      if (child.nodeType === Node.TEXT_NODE) found.push(child.textContent ?? "");
    }
  }
  return found.filter((text) => text.trim() !== "");
}

/** Words of the texts that are explained. */
function data(state: Record<string, unknown>): string[] {
  const texts = (state["data"] as { texts?: string[] } | undefined)?.texts ?? [];
  const outputs = (state["data"] as { outputs?: string[] } | undefined)?.outputs ?? [];
  return [...texts, ...outputs, "The capital of France is Paris the it user s x"].flatMap(
    (text) => text.match(/[A-Za-z]+/g) ?? [],
  );
}

describe("a view in Chinese", () => {
  it.each(VIEWS)("of %s says nothing in English but tokens", async (_, widget, state) => {
    const el = await open(widget, { ...state, words: CHINESE });
    expect(el.querySelector(".liw")?.getAttribute("lang")).toBe("zh-Hans");
    const known = new Set([...NAMES, ...data(state)].map((word) => word.toLowerCase()));
    const isEnglish = (text: string): boolean =>
      (text.match(/[A-Za-z]{2,}/g) ?? []).some((word) => !known.has(word.toLowerCase()));
    await until(() => {
      expect(said(el).filter(isEnglish)).toEqual([]);
      expect(said(el).some((text) => /\p{Script=Han}/u.test(text))).toBe(true);
      expect(said(el).filter((text) => /\{\w+\}/.test(text))).toEqual([]);
    });
  });

  it.each(VIEWS)("of %s is in English again when it should be", async (_, widget, state) => {
    const model = modelOf(widget, { ...state, words: CHINESE });
    const el = await draw(widget, model);
    await act(() => model.set("words", {}));
    const data = /标题|标签|甲|乙|自注意力/g;
    await until(() => {
      const left = said(el).filter((text) => /\p{Script=Han}/u.test(text.replace(data, "")));
      expect(left).toEqual([]);
      expect(el.querySelector(".liw")?.getAttribute("lang")).toBe("en");
    });
  });
});

// ── Sources ──────────────────────────────────────────────────────────────────

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, "src", folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

const SPOKEN = new Set(["aria-label", "aria-description", "title", "placeholder", "alt", "label"]);

/** Literal letters where they would be shown or spoken. */
function literals(name: string, code: string): string[] {
  const file = ts.createSourceFile(name, code, ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX);
  const found: string[] = [];
  const text = (node: ts.Node): void => {
    if (ts.isStringLiteral(node) || ts.isNoSubstitutionTemplateLiteral(node)) {
      if (LETTERS.test(node.text)) found.push(node.text);
    } else if (ts.isTemplateExpression(node)) {
      const parts = [node.head.text, ...node.templateSpans.map((span) => span.literal.text)];
      if (parts.some((part) => LETTERS.test(part))) found.push(node.getText());
    } else if (ts.isConditionalExpression(node)) {
      text(node.whenTrue);
      text(node.whenFalse);
    } else if (ts.isBinaryExpression(node)) {
      text(node.right);
      if (node.operatorToken.kind === ts.SyntaxKind.PlusToken) text(node.left);
    } else if (ts.isParenthesizedExpression(node)) text(node.expression);
  };
  const visit = (node: ts.Node): void => {
    if (ts.isJsxText(node) && LETTERS.test(node.text)) found.push(node.text.trim());
    if (ts.isJsxAttribute(node) && SPOKEN.has(node.name.getText()) && node.initializer) {
      const value = node.initializer;
      if (ts.isStringLiteral(value)) text(value);
      else if (ts.isJsxExpression(value) && value.expression) text(value.expression);
    }
    if (ts.isJsxExpression(node) && node.expression && !ts.isJsxAttribute(node.parent)) {
      text(node.expression);
    }
    if (ts.isCallExpression(node) && /fillText$/.test(node.expression.getText())) {
      const [first] = node.arguments;
      if (first) text(first);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

describe("the sources", () => {
  const files = sources("").filter((path) => path !== "words.ts");

  it("show and speak only what is said", { timeout: 30_000 }, () => {
    for (const path of files) {
      expect([path, literals(path, readFileSync(join(ROOT, "src", path), "utf8"))]).toEqual([
        path,
        [],
      ]);
    }
  });

  it("are searched well", () => {
    const bad = `<p title="Hello" aria-label={\`\${n} heads\`}>Text {a ? "yes" : say(W.NO)}{b && ("or" + c)}</p>`;
    const found = ["Hello", "`$" + "{n} heads`", "Text", "yes", "or"];
    expect(literals("x.tsx", bad)).toEqual(found);
    expect(literals("x.tsx", `<p class="liw-x" title={say(W.X)}>· {n} → {"×"}</p>`)).toEqual([]);
  });

  it("use every constant, and each has a translation with its places", () => {
    const code = files.map((path) => readFileSync(join(ROOT, "src", path), "utf8")).join("\n");
    const places = (template = ""): string[] => (template.match(/\{\w+\}/g) ?? []).sort();
    for (const [name, english] of Object.entries(W)) {
      expect(code).toMatch(new RegExp(`\\b(W\\.)?${name}\\b`));
      expect([english, places(CHINESE[english])]).toEqual([english, places(english)]);
    }
  });
});
