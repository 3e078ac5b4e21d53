import { describe, expect, it } from "vitest";
import { read } from "../src/readings";
import { place, ticks, waterfall } from "../src/waterfall";

function readings(scores: number[], errors: number[] | null = null) {
  const error = errors && Float32Array.from(errors);
  return read({ scores: Float32Array.from(scores), error, seq: 1 }, scores.length);
}

describe("the way from base to output", () => {
  it("is shared out largest first, and each step begins where the one below ended", () => {
    const { steps } = waterfall(readings([1, -4, 0.5]), 10, 7.5, 9);
    expect(steps.map(({ index }) => index)).toEqual([1, 0, 2]);
    expect(steps.map(({ from, to }) => [from, to])).toEqual([
      [11.5, 7.5],
      [10.5, 11.5],
      [10, 10.5],
    ]);
  });

  it("puts what is small together, and everything once", () => {
    const scores = [5, 4, 3, 2, 1, 0.5];
    const { steps } = waterfall(readings(scores), 0, 15.5, 3);
    expect(steps.map(({ kind, count }) => [kind, count])).toEqual([
      ["piece", 1],
      ["piece", 1],
      ["piece", 1],
      ["others", 3],
    ]);
    expect(steps[0]?.to).toBeCloseTo(15.5);
    expect(steps.at(-1)).toMatchObject({ from: 0, to: 3.5 });
    expect(waterfall(readings(scores), 0, 15.5, 5).steps).toHaveLength(6);
  });

  it("shows what the scores leave unexplained, and only that", () => {
    const { steps } = waterfall(readings([2, 1]), 0, 5, 9);
    expect(steps.at(-1)).toMatchObject({ kind: "rest", from: 0, to: 2 });
    expect(steps[0]?.to).toBe(5);
    expect(waterfall(readings([2, 1]), 0, 3.001, 9).steps).toHaveLength(2);
  });

  it("holds every bar and whisker between its ends", () => {
    const shape = waterfall(readings([3, -8, 1], [2, 1, 0.1]), -2, -6, 9);
    for (const { from, to, margin } of shape.steps) {
      for (const value of [from, to - margin, to + margin, shape.base, shape.output]) {
        expect(place(shape, value)).toBeGreaterThan(0);
        expect(place(shape, value)).toBeLessThan(100);
      }
    }
  });

  it("draws nothing wide for a constant, and leaves out what is absent", () => {
    const shape = waterfall(readings([0, Number.NaN, 0]), 2, 2, 9);
    expect(shape.steps.map(({ index }) => index)).toEqual([0, 2]);
    expect(shape.high).toBeGreaterThan(shape.low);
    expect(place(shape, 2)).toBeCloseTo(50);
  });
});

describe("ticks", () => {
  it("are round, within the range, and few", () => {
    expect(ticks(-16.9, 0.3)).toEqual([-15, -10, -5, 0]);
    expect(ticks(0, 0.07)).toEqual([0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]);
    for (const [low, high] of [
      [-3e-7, 4e-7],
      [1e6, 1.9e6],
      [-0.2, 912],
    ] as const) {
      const found = ticks(low, high);
      expect(found.length).toBeGreaterThanOrEqual(3);
      expect(found.length).toBeLessThanOrEqual(9);
      expect(Math.min(...found)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...found)).toBeLessThanOrEqual(high);
    }
  });

  it("are none for a range that is none", () => {
    expect(ticks(1, 1)).toEqual([]);
    expect(ticks(Number.NaN, 1)).toEqual([]);
  });
});
