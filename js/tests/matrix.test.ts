import { describe, expect, it } from "vitest";
import { PALETTES } from "../src/colour";
import { canAdd, together } from "../src/generation";
import { largestOf, panned, pixels, showing, whole, zoomed } from "../src/matrix";
import { EMPTY, reduce } from "../src/store";
import { bytes, snapshot, subject, token } from "./samples";

const SIZE = { columns: 100, rows: 20 };
const row = (scores: number[], error: number[] | null = null) => ({
  scores: Float32Array.from(scores),
  error: error && Float32Array.from(error),
  seq: 0,
});

describe("the window on a matrix", () => {
  it("zooms about a point that stays where it is", () => {
    const seen = zoomed(whole(SIZE), 2, 30, 5, SIZE);
    expect(seen).toEqual({ left: 15, top: 2.5, width: 50, height: 10 });
    expect((30 - seen.left) / seen.width).toBeCloseTo(0.3, 12);
  });

  it("never leaves the matrix, nor gets smaller than a few cells", () => {
    const close = zoomed(whole(SIZE), 1000, 99.9, 19.9, SIZE);
    expect([close.width, close.height]).toEqual([4, 4]);
    expect(close.left + close.width).toBeLessThanOrEqual(100);
    expect(panned(close, 500, -500, SIZE)).toEqual({ left: 96, top: 0, width: 4, height: 4 });
    expect(zoomed(close, 1e-6, 0, 0, SIZE)).toEqual(whole(SIZE));
  });

  it("moves as little as needed to show a cell", () => {
    const seen = { left: 10, top: 0, width: 10, height: 20 };
    expect(showing(seen, 15, 3, SIZE)).toEqual(seen);
    expect(showing(seen, 20, 3, SIZE).left).toBe(11);
    expect(showing(seen, 3, 3, SIZE).left).toBe(3);
  });
});

describe("the cells", () => {
  it("are blue below zero, orange above, grey where unsure, clear where absent", () => {
    const rows = [row([2, -2, 0, Number.NaN, 1], [0, 0, 0, 0, 1]), null];
    expect(largestOf(rows)).toBe(2);
    const image = pixels(rows, 5, 2, "light");
    const cell = (i: number): number[] => [...image.slice(4 * i, 4 * i + 4)];
    expect(cell(0)).toEqual([...PALETTES.light.raises, 255]);
    expect(cell(1)).toEqual([...PALETTES.light.lowers, 255]);
    expect(cell(2)[3]).toBe(0);
    expect(cell(3)[3]).toBe(0);
    expect(cell(4).slice(0, 3)).toEqual([...PALETTES.light.ink]);
    expect(image.slice(20).every((value) => value === 0)).toBe(true);
  });
});

describe("a span of outputs", () => {
  const about = subject({ outputs: ["a", "b", "c"].map((text, i) => token(text, 5 + i)) });
  const state = reduce(EMPTY, {
    type: "snapshot",
    snapshot: snapshot({
      subject: about,
      scores: bytes([1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 0, 0, 0, 0, 0]),
      standard_error: bytes(new Array<number>(15).fill(0.5)),
      totals: bytes([-1, -2, -3, 1, 2, 3, 0, 0, 0]),
    }),
  });

  it("is the sum of its tokens' scores, with at most the sum of their errors", () => {
    const both = together(state, 0, 2);
    expect([...(both.rows[0]?.scores ?? [])]).toEqual([11, 22, 33, 44, 55]);
    expect([...(both.rows[0]?.error ?? [])]).toEqual([1, 1, 1, 1, 1]);
    expect([both.totals?.base[0], both.totals?.output[0]]).toEqual([-3, 3]);
    expect(both.subject?.outputs[0]?.text).toBe("ab");
    expect(both.rows[2]).toBe(state.rows[2]);
  });

  it("is left alone where it is one token, or log-probabilities are not what is explained", () => {
    expect(together(state, 1, 1)).toBe(state);
    expect(canAdd(state)).toBe(true);
    const logits = { ...state, subject: { ...about, unit: "logit" as const } };
    expect(canAdd(logits)).toBe(false);
  });
});
