/** The same numbers as the kernel's, from the same file that pytest holds it to. */

import { describe, expect, it } from "vitest";
import { type By, decode, groups, sentence, textOf } from "../src/collection";
import { dotAt, reachOf, swarm } from "../src/swarm";
import { GOLDEN, goldenData } from "./golden_collection";

const data = decode(goldenData());
if (data === null) throw new Error("no collection");

describe("rows", () => {
  it.each<By>([
    { kind: "word", groups: {} },
    { kind: "position", groups: {} },
    { kind: "group", groups: { praise: ["good", "funny"] } },
    { kind: "value", groups: GOLDEN.values },
  ])("by $kind are the kernel's", (by) => {
    const found = groups(data, by, 1, 2);
    const wanted = GOLDEN.rows[by.kind] ?? [];
    expect(found.map(({ name }) => name)).toEqual(wanted.map(([name]) => name));
    expect(found.length).toBeGreaterThan(0);
    found.forEach(({ texts, mean, size, margin, correlation }, i) => {
      const [, n, ...numbers] = wanted[i] ?? ["", 0];
      expect(texts.length).toBe(n);
      [mean, size, margin, correlation || 0].forEach((value, k) => {
        expect(value).toBeCloseTo(numbers[k] ?? Number.NaN, 5);
      });
    });
  });

  it("rise in score, and name texts that have the word", () => {
    const [first] = groups(data, { kind: "word", groups: {} }, 0, 2);
    const scores = [...(first?.scores ?? [])];
    expect(scores).toEqual(scores.toSorted((a, b) => a - b));
    for (const text of first?.texts ?? []) {
      expect(data.texts[text]?.toLowerCase()).toContain(first?.name);
    }
  });

  it("are said of sure texts only", () => {
    const row = {
      name: "bad",
      texts: Uint32Array.of(0, 1, 2),
      scores: Float64Array.of(-2, -1, 0.5),
      counts: Uint32Array.of(1, 1, 1),
      sure: Uint8Array.of(1, 0, 1),
      values: null,
      correlation: Number.NaN,
      mean: -0.83,
      size: 1.17,
      margin: 1,
    };
    expect(sentence([row], "“yes”", true)).toBe(
      "“bad” pushed away from “yes” in 1 of 3 texts that have it.",
    );
    expect(sentence([], "“yes”", true)).toBe("");
    const stars = { ...row, name: "stars", values: Float64Array.of(1, 2, 3), correlation: 1 };
    expect(sentence([stars], "“yes”", true)).toMatch(/is not known .*\+1\.00 over 3/);
  });
});

it("draws a text to the letter, emoji and all", () => {
  data.texts.forEach((prompt, i) => {
    const [one] = textOf(data, i);
    expect(one?.subject.inputs.map(({ text }) => text).join("")).toBe(prompt);
    expect(one?.row.scores.length).toBe(one?.subject.inputs.length);
  });
});

it("decodes nothing from what is no collection", () => {
  expect([decode(null), decode({}), decode({ texts: ["a"] })]).toEqual([null, null, null]);
});

describe("a swarm", () => {
  const scores = Float64Array.from({ length: 300 }, (_, i) => Math.sin(i) / 10).sort();
  const dots = swarm(scores, (score) => 200 + 100 * score, 4, 13);

  it("keeps every dot at its score and within its row", () => {
    dots.x.forEach((x, i) => {
      expect(x).toBeCloseTo(200 + 100 * (scores[i] ?? 0), 3);
    });
    expect(Math.max(...dots.y.map(Math.abs))).toBeLessThanOrEqual(13);
  });

  it("lays no dot on another where there is room", () => {
    const few = swarm(scores, (score) => 200 + 100 * score, 4, 1000);
    const all = [...few.x].map((x, i) => [x, few.y[i] ?? 0] as const);
    all.forEach(([x, y], i) => {
      for (const [u, v] of all.slice(0, i)) {
        expect(Math.hypot(x - u, y - v)).toBeGreaterThanOrEqual(4 - 1e-4);
      }
    });
  });

  it("is highest where dots are most, also where it is pressed", () => {
    const heap = Float64Array.from({ length: 200 }, (_, i) => (i < 160 ? 0 : i - 159));
    const { y } = swarm(heap, (score) => 10 * score, 4, 13);
    expect(Math.max(...y.slice(0, 160).map(Math.abs))).toBeCloseTo(13, 4);
    expect(Math.max(...y.slice(160).map(Math.abs))).toBe(0);
    expect(swarm(Float64Array.of(1), (score) => score, 4, 13).y).toEqual(Float32Array.of(0));
    expect(swarm(Float64Array.of(1, 1), (score) => score, 20, 13).y).toEqual(
      Float32Array.of(0, -13),
    );
  });

  it("finds the dot under a point as a look at all of them does", () => {
    for (let px = 185; px < 215; px += 1.7) {
      for (const py of [-9, -2, 0, 5]) {
        const far = [...dots.x].map((x, i) => Math.hypot(x - px, (dots.y[i] ?? 0) - py));
        const nearest = Math.min(...far);
        const found = dotAt(dots, px, py, 7);
        if (nearest > 7) expect(found).toBe(-1);
        else expect(far[found]).toBeCloseTo(nearest, 4);
      }
    }
  });

  it("has zero on its scale", () => {
    const row = { scores: Float64Array.of(1, 2) } as Parameters<typeof reachOf>[0][number];
    expect(reachOf([row])).toEqual([0, 2]);
    expect(reachOf([])).toEqual([-1, 1]);
  });
});
