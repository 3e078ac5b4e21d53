/**
 * One diverging scale: blue below zero, orange above, the page's own colour at zero.
 *
 * The style sheet and the copied pictures take their colours from here, and a test holds the
 * text's contrast on every tint at 4.5 or more. Zero is always neutral and the limits are
 * always symmetric.
 */

export type Theme = "light" | "dark";
export type Rgb = readonly [red: number, green: number, blue: number];

export interface Palette {
  readonly paper: Rgb;
  readonly ink: Rgb;
  readonly raises: Rgb;
  readonly lowers: Rgb;
  /** Opacity of the tint at the limit of the scale. */
  readonly strength: number;
}

export const PALETTES: Readonly<Record<Theme, Palette>> = {
  light: {
    paper: [255, 255, 255],
    ink: [27, 29, 33],
    raises: [230, 112, 10],
    lowers: [38, 104, 214],
    strength: 0.58,
  },
  dark: {
    paper: [20, 21, 24],
    ink: [230, 231, 234],
    raises: [232, 122, 34],
    lowers: [78, 138, 240],
    strength: 0.52,
  },
};

/** Opacity of the line under a token: visible even near zero, full at the limit. */
export const UNDERLINE_FLOOR = 0.3;

/** Where a score stands on the scale, from −1 to 1; values beyond the limit are clipped. */
export function position(score: number, limit: number): number {
  if (!Number.isFinite(score) || !(limit > 0)) return 0;
  return Math.max(-1, Math.min(1, score / limit));
}

/** `top` with opacity `alpha` over `bottom`. */
export function over(top: Rgb, alpha: number, bottom: Rgb): Rgb {
  const mix = (i: 0 | 1 | 2): number => Math.round(top[i] * alpha + bottom[i] * (1 - alpha));
  return [mix(0), mix(1), mix(2)];
}

/** The background of a token at `t` in −1 … 1. */
export function tint(t: number, palette: Palette): Rgb {
  const hue = t < 0 ? palette.lowers : palette.raises;
  return over(hue, Math.abs(t) * palette.strength, palette.paper);
}

/** The line under a token at `t` in −1 … 1. */
export function underline(t: number, palette: Palette): Rgb {
  const hue = t < 0 ? palette.lowers : palette.raises;
  return over(hue, UNDERLINE_FLOOR + (1 - UNDERLINE_FLOOR) * Math.abs(t), palette.paper);
}

export function css([red, green, blue]: Rgb): string {
  return `rgb(${red} ${green} ${blue})`;
}

export function hex(colour: Rgb): string {
  return `#${colour.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

/** WCAG relative luminance. */
export function luminance(colour: Rgb): number {
  const linear = (part: number): number => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(colour[0]) + 0.7152 * linear(colour[1]) + 0.0722 * linear(colour[2]);
}

/** WCAG contrast ratio, from 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

/** The palette as custom properties, each colour in its light and its dark form. */
export function paletteCss(): string {
  const { light, dark } = PALETTES;
  const pair = (key: "paper" | "ink" | "raises" | "lowers"): string =>
    `light-dark(${css(light[key])}, ${css(dark[key])})`;
  return `.liw {
    --liw-raises: ${pair("raises")};
    --liw-lowers: ${pair("lowers")};
    --liw-default-paper: ${pair("paper")};
    --liw-default-ink: ${pair("ink")};
    --liw-underline-floor: ${UNDERLINE_FLOOR * 100}%;
  }
  .liw[data-theme="light"] { --liw-strength: ${light.strength * 100}%; }
  .liw[data-theme="dark"] { --liw-strength: ${dark.strength * 100}%; }`;
}
