import { describe, expect, it } from "vitest";
import * as format from "../src/format";

const nan = Number.NaN;

it.each([
  [6.9, "+6.90"],
  [-0.0123, "−0.0123"],
  [0, "0"],
  [1234, "+1230"],
  [99.96, "+100"],
  [9.996, "+10.0"],
  [1.5e-7, "+1.5e−7"],
  [-2.5e8, "−2.5e8"],
  [nan, "–"],
])("signed(%d) is %s", (value, text) => {
  expect(format.signed(value)).toBe(text);
});

it("lines a column up", () => {
  expect([6.9, -0.25, 0.001, nan].map((value) => format.aligned(value, 2))).toEqual([
    "+6.90",
    "−0.25",
    "\u20090.00",
    "–",
  ]);
  expect(format.decimalsFor(6.9)).toBe(2);
  expect(format.decimalsFor(0.04)).toBe(4);
  expect(format.decimalsFor(1234)).toBe(0);
  expect(format.decimalsFor(0)).toBe(2);
});

it.each([
  [0.4107, "41\u2009%"],
  [0.0996, "10\u2009%"],
  [0.031, "3.1\u2009%"],
  [0.0001, "<\u20090.1\u2009%"],
  [0, "0\u2009%"],
  [nan, "–"],
])("percent(%d) is %s", (share, text) => {
  expect(format.percent(share)).toBe(text);
});

it("tells time and pace", () => {
  expect([0.2, 59.4, 125, 4320].map(format.duration)).toEqual([
    "1 s",
    "59 s",
    "2 min 05 s",
    "1 h 12 min",
  ]);
  expect([142.3, 0.81].map(format.rate)).toEqual(["142/s", "0.81/s"]);
  expect(format.count(1234567)).toBe("1\u2009234\u2009567");
});

it("counts in words and then in figures", () => {
  expect([1, 10, 11, 12, 21, 22, 103, 111].map(format.ordinal)).toEqual([
    "first",
    "tenth",
    "11th",
    "12th",
    "21st",
    "22nd",
    "103rd",
    "111th",
  ]);
});

describe("white space", () => {
  it.each([
    [" France", "␣France"],
    ["a b", "a b"],
    ["\n\n", "↵↵"],
    ["\tx\r\n", "⇥x↵"],
    ["", "∅"],
    ["\u200b", "U+200B"],
    ["\u3000", "U+3000"],
    ["今天", "今天"],
  ])("of %j is shown as %j", (text, shown) => {
    expect(format.visible(text)).toBe(shown);
  });

  it.each([
    [" France ", "France"],
    ["\n", "line break"],
    ["  ", "space"],
    ["", "empty token"],
  ])("of %j is spoken as %j", (text, words) => {
    expect(format.spoken(text)).toBe(words);
  });
});

it("makes white space at the ends visible however much there is within", () => {
  const within = `a${" ".repeat(200_000)}b`;
  expect(format.visible(`  ${within} `)).toBe(`␣␣${within}␣`);
  expect(format.visible("   ")).toBe("␣␣␣");
});

it("never shows half a character", () => {
  expect(format.brief("ab😀cd", 4)).toBe("ab…");
  expect(format.brief("ab😀cd", 5)).toBe("ab😀…");
  expect(format.brief("abc", 3)).toBe("abc");
});
