import { describe, expect, it } from "vitest";
import { tableCsv } from "../src/csv";
import { layOut, type PictureState, pictureSvg, shorten, xml } from "../src/picture";
import { read } from "../src/readings";
import { PARIS, SCORES, subject, token } from "./samples";

const measure = (text: string): number => [...text].length * 10;

function lines(texts: readonly string[], width: number): string[] {
  const found: string[] = [];
  for (const { line, text } of layOut(texts, width, measure)) {
    found[line] = (found[line] ?? "") + text;
  }
  return found;
}

function state(texts: readonly string[], scores: readonly number[]): PictureState {
  const row = {
    scores: Float32Array.from(scores),
    error: Float32Array.from(scores, () => 0.7),
    seq: 0,
  };
  return {
    subject: subject({ inputs: texts.map((text, i) => token(text, i)) }),
    output: 0,
    readings: read(row, texts.length),
    limit: 6.9,
    selected: 3,
    theme: "light",
    note: "converged",
  };
}

describe("the layout", () => {
  it("keeps words whole, even of several tokens", () => {
    expect(lines(["The", " un", "believ", "able", " end"], 130)).toEqual([
      "The",
      "unbelievable",
      "end",
    ]);
  });

  it("breaks at line breaks, also within a token", () => {
    expect(lines(["a\n\nb", "c"], 100)).toEqual(["a", undefined, "bc"]);
  });

  it("breaks Chinese between characters", () => {
    expect(lines(["今天", "天气", "很好"], 30)).toEqual(["今天天", "气很好"]);
  });

  it("cuts a word that is wider than a line", () => {
    expect(lines(["abcdefghij"], 40)).toEqual(["abcd", "efgh", "ij"]);
  });

  it("never goes beyond the width", () => {
    const texts = Array.from({ length: 300 }, (_, i) => ` ${"w".repeat(i % 13)}`);
    for (const { x, width } of layOut(texts, 200, measure))
      expect(x + width).toBeLessThanOrEqual(200);
  });
});

describe("the picture", () => {
  it("shows every token, its tint, the pin and the legend", () => {
    const svg = pictureSvg(state(PARIS, SCORES), measure);
    for (const text of PARIS) expect(svg).toContain(`>${text}</text>`);
    expect(svg).toContain("Why “Paris”?");
    expect(svg).toContain("+6.90");
    expect(svg).toContain("converged");
    expect(svg.match(/stroke-width="1.5"/g)).toHaveLength(1);
    expect(svg.match(/url\(#unsure\)/g)).toHaveLength(1);
  });

  it("holds hostile text as text", () => {
    const svg = pictureSvg(
      state(["</text><script>alert(1)</script>", "\ud800", "\x00", "&"], [1, 1, 1, 1]),
      measure,
    );
    expect(svg).not.toContain("<script");
    expect(svg).toContain("&#60;/text&#62;&#60;script&#62;");
    expect(svg).toContain("\ufffd");
    expect(svg.isWellFormed()).toBe(true);
    expect(svg).not.toContain("\0");
  });
});

it("escapes what XML cannot hold", () => {
  expect(xml('<a b="c">&\u0007\udc00👩‍💻')).toBe("&#60;a b=&#34;c&#34;&#62;&#38;\ufffd\ufffd👩‍💻");
});

it("writes a table that a spreadsheet does not run", async () => {
  const { subject: about, readings } = state(["=1+1", ' "q"\n'], [0.1, Number.NaN]);
  expect((await tableCsv(about, readings).text()).split("\n").slice(0, 2)).toEqual([
    "position,start,end,token,special,role,score,standard_error,rank",
    '0,0,4,"\'=1+1",false,"",0.1,0.7,1',
  ]);
});

describe("an endless text", () => {
  const endless = "x".repeat(100_000);

  it("is cut a line at a time", () => {
    const pieces = layOut([endless, " y"], 704, measure);
    expect(pieces.map(({ text }) => text).join("")).toBe(`${endless} y`);
    expect(pieces.length).toBeLessThan(endless.length / 50);
    expect(pieces.every(({ x, width }) => x + width <= 704)).toBe(true);
  });

  it("is shortened to what fits", () => {
    const short = shorten(endless, 100, measure, 17);
    expect(short).toMatch(/^x+…$/);
    expect(measure(short)).toBeLessThanOrEqual(100);
    expect(measure(`x${short}`)).toBeGreaterThan(100);
    expect(shorten("x", 0, measure, 17)).toBe("x…");
  });
});
