import { describe, expect, it } from "vitest";
import { compare, spearman, summary } from "../src/compare";
import { EMPTY, reduce, type State } from "../src/store";
import { bytes, progress, snapshot, subject, token } from "./samples";

const LABELS = ["Shapley values", "LIME", "Saliency"];

function state(scores: readonly number[], more = {}, about = subject()): State {
  const taken = snapshot({
    scores: bytes(scores),
    state: progress({ status: "done", verdict: "exact" }),
    subject: about,
    ...more,
  });
  return reduce(EMPTY, { type: "snapshot", snapshot: taken });
}

describe("Spearman's rank correlation", () => {
  it("is that of the ranks, ties sharing theirs", () => {
    expect(spearman([1, 2, 3, 4], [10, 20, 30, 40])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 3, 4], [4, 3, 2, 1])).toBeCloseTo(-1, 12);
    // scipy.stats.spearmanr([1, 2, 2, 4, 5], [3, 1, 4, 4, 9]).statistic
    expect(spearman([1, 2, 2, 4, 5], [3, 1, 4, 4, 9])).toBeCloseTo(0.7631578947368421, 12);
    expect(spearman([1, 2], [1, 2])).toBeNaN();
    expect(spearman([1, 1, 1], [1, 2, 3])).toBeNaN();
  });
});

describe("a comparison", () => {
  it("matches pieces by their characters, not their places", () => {
    const cls = token("[CLS]", 0, { special: true, start: 0, end: 0 });
    const shifted = subject({ inputs: [cls, ...subject().inputs] });
    const one = state([1, 2, 3, 4, 5]);
    const two = state([0, 1, 2, 3, 4, 5], {}, shifted);
    const { strips, correlation } = compare([one, two], LABELS, 0);
    expect(strips.map(({ scores }) => scores)).toEqual([
      [1, 2, 3, 4, 5],
      [1, 2, 3, 4, 5],
    ]);
    expect(correlation[0]?.[1]).toBeCloseTo(1, 12);
  });

  it("compares magnitudes where a score is no effect", () => {
    const flow = state([1, 2, 3, 4, 5], {}, subject({ unit: "score" }));
    const { correlation } = compare([state([-1, -2, -3, -4, -5]), flow], LABELS, 0);
    expect(correlation[0]?.[1]).toBeCloseTo(1, 12);
  });

  it("marks a clash of signs only where both are sure and not small", () => {
    const one = state([5, -4, 0.1, 1, 2]);
    const error = bytes([0, 3, 0, 0, 0]);
    const clash = compare([one, state([5, 4, -0.1, 1, 2])], LABELS, 0);
    expect(clash.disagreements).toEqual([null, "sign", null, null, null]);
    const unsure = compare([one, state([5, 4, -0.1, 1, 2], { standard_error: error })], LABELS, 0);
    expect(unsure.disagreements[1]).toBeNull();
  });

  it("marks what is first for one and in the last half for another", () => {
    const { disagreements } = compare([state([9, 1, 2, 3, 4]), state([1, 9, 3, 4, 2])], LABELS, 0);
    expect(disagreements).toEqual(["rank", "rank", null, null, null]);
  });

  it("says what comes first, and how alike they are", () => {
    const alike = compare([state([1, 2, 3, 9, 4]), state([1, 2, 3, 8, 4])], LABELS, 0);
    expect(summary(alike, 0)?.progress?.sentences[0]).toBe(
      "Both put “France” first. Their rankings are much alike (rank correlation 1.00).",
    );
    const unlike = compare([state([9, 1, 2, 3, 4]), state([1, 9, 3, 4, 2])], LABELS, 0);
    expect(summary(unlike, 0)?.progress?.sentences[0]).toMatch(
      /^They put different pieces first: “The” \(Shapley values\), “capital” \(LIME\)\. Their rankings differ/,
    );
  });

  it("keeps what is there when one of them fails", () => {
    const error = { name: "NonFiniteError", message: "NaN" };
    const failed = state([], { state: progress({ status: "failed", error }) });
    const whole = summary(compare([state([1, 2, 3, 9, 4]), failed], LABELS, 0), 0);
    expect(whole?.progress?.error).toEqual(error);
    expect(whole?.progress?.facts.map(({ level }) => level)).toEqual(["plain", "bad"]);
    expect(whole?.rows[0]?.scores).toHaveLength(5);
  });

  it("is as far as its slowest job, and as sure as its least sure", () => {
    const running = state([1, 2, 3, 9, 4], { state: progress({ done: 3, total: 9 }) });
    const done = state([1, 2, 3, 9, 4], {
      state: progress({ status: "done", verdict: "did not converge", done: 4, total: 4 }),
    });
    const whole = summary(compare([done, running], LABELS, 0), 0)?.progress;
    expect([whole?.status, whole?.done, whole?.total]).toEqual(["running", 7, 13]);
    expect(whole?.sentences).toEqual([""]);
    expect(whole?.facts.map(({ value }) => value)).toEqual(["did not converge", "33 %"]);
    const over = summary(compare([done, done], LABELS, 0), 0)?.progress;
    expect([over?.status, over?.verdict]).toEqual(["done", "did not converge"]);
  });
});
