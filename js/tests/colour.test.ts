import { describe, expect, it } from "vitest";
import { contrast, css, hex, PALETTES, paletteCss, position, tint, underline } from "../src/colour";

const STEPS = Array.from({ length: 201 }, (_, i) => i / 100 - 1);

describe.each(["light", "dark"] as const)("the %s palette", (theme) => {
  const palette = PALETTES[theme];

  it("keeps text readable on every tint", () => {
    for (const t of STEPS) {
      expect(contrast(palette.ink, tint(t, palette)), `at ${t}`).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("is the paper itself at zero", () => {
    expect(tint(0, palette)).toEqual(palette.paper);
  });

  it("is symmetric in strength and monotone in distance from the paper", () => {
    const away = (t: number): number => contrast(tint(t, palette), palette.paper);
    for (const sign of [-1, 1]) {
      for (let t = 0.1; t <= 1; t += 0.1) {
        expect(away(sign * t)).toBeGreaterThan(away(sign * (t - 0.1)));
      }
    }
    expect(Math.abs(Math.log(away(1) / away(-1)))).toBeLessThan(0.35);
  });

  it("draws a line that stands out at full strength", () => {
    for (const t of [-1, 1]) {
      expect(contrast(underline(t, palette), palette.paper)).toBeGreaterThan(2.5);
    }
  });
});

it("places scores symmetrically and clips beyond the limit", () => {
  expect([-9, -2, 0, 1, 9].map((score) => position(score, 4))).toEqual([-1, -0.5, 0, 0.25, 1]);
  expect(position(3, 0)).toBe(0);
  expect(position(Number.NaN, 4)).toBe(0);
});

it("writes colours for style sheets and pictures", () => {
  expect(css([1, 2, 3])).toBe("rgb(1 2 3)");
  expect(hex([255, 0, 10])).toBe("#ff000a");
  expect(paletteCss()).toContain(css(PALETTES.dark.raises));
});
