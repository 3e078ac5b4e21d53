import { describe, expect, it } from "vitest";
import { force } from "../src/force";
import { read } from "../src/readings";

function readings(scores: readonly number[], errors?: readonly number[]) {
  const error = errors ? Float32Array.from(errors) : null;
  return read({ scores: Float32Array.from(scores), error, seq: 0 }, scores.length);
}

describe("a force plot", () => {
  it("meets at the output, the largest nearest to it", () => {
    const { segments } = force(readings([1, 4, -2, -0.5]), 10, 12.5);
    expect(segments.map(({ index, low, high }) => [index, low, high])).toEqual([
      [0, 7.5, 8.5],
      [1, 8.5, 12.5],
      [2, 12.5, 14.5],
      [3, 14.5, 15],
    ]);
  });

  it("is as long as all that raises and all that lowers", () => {
    const { segments, low, high } = force(readings([3, 2, -1, -7]), 1, -2);
    const length = segments.reduce((sum, segment) => sum + segment.high - segment.low, 0);
    expect(length).toBeCloseTo(13, 6);
    expect(low).toBeLessThan(-7);
    expect(high).toBeGreaterThan(6);
  });

  it("shows what is not explained on the side it pushes to", () => {
    const up = force(readings([2, -1]), 0, 3).segments;
    expect(up[0]).toMatchObject({ kind: "rest", score: 2, low: -1, high: 1 });
    const down = force(readings([2, -1]), 0, -3).segments;
    expect(down.at(-1)).toMatchObject({ kind: "rest", score: -4, low: -2, high: 2 });
  });

  it("joins what is too small to see, a group a direction", () => {
    const tiny = Array.from({ length: 40 }, (_, i) => (i % 2 ? 0.01 : -0.01));
    const { segments } = force(readings([10, ...tiny]), 0, 10);
    expect(segments.map(({ kind, count }) => [kind, count])).toEqual([
      ["others", 20],
      ["piece", 1],
      ["others", 20],
    ]);
    expect(segments.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(10, 5);
  });

  it("keeps what is unsure, and draws nothing where there is nothing", () => {
    expect(force(readings([1], [2]), 0, 1).segments[0]?.unsure).toBe(true);
    const { segments, low, high } = force(readings([0, 0]), 5, 5);
    expect(segments).toEqual([]);
    expect(high).toBeGreaterThan(low);
  });
});
