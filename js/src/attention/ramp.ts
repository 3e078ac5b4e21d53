/**
 * From a weight's byte to a colour. A byte is 255 · weight^(1/4), as `wire.pack_weights` makes it.
 *
 * One hue over the page's own colour, stronger for larger weights; differences have two hues.
 */

import { over, PALETTES, type Theme } from "../colour";
import * as W from "../words";

/** How weights become colours, and how that is said. */
export const SCALES = {
  root: W.CUBE_ROOT,
  linear: W.LINEAR,
  log: W.LOGARITHMIC,
} as const;
export type Scale = keyof typeof SCALES;
export type Lut = Uint8ClampedArray<ArrayBuffer>;

/** The smallest weight with a colour of its own on the log scale. */
export const FAINTEST = 1e-4;
const DECADES = -Math.log10(FAINTEST);
const FULL = 255;

/** The weight that a byte stands for. */
export const WEIGHTS = Float32Array.from({ length: 256 }, (_, code) => (code / 255) ** 4);

export function scaleOf(value: unknown): Scale {
  return typeof value === "string" && value in SCALES ? (value as Scale) : "root";
}

export function codeOf(weight: number): number {
  return Math.round(255 * Math.max(0, Math.min(1, weight)) ** 0.25);
}

/** How strongly a weight is coloured, from 0 to 1. */
export function strength(weight: number, scale: Scale): number {
  if (scale !== "log") return Math.max(0, Math.min(1, weight)) ** (scale === "root" ? 1 / 3 : 1);
  return weight <= FAINTEST ? 0 : Math.min(1, 1 + Math.log10(weight) / DECADES);
}

/** 256 colours (RGBA) for bytes of weights; those below `least` are clear. */
export function ramp(theme: Theme, scale: Scale, least: number): Lut {
  const { ink, lowers } = PALETTES[theme];
  const lut = new Uint8ClampedArray(1024);
  WEIGHTS.forEach((weight, code) => {
    const t = weight < least ? 0 : strength(weight, scale);
    lut.set([...over(ink, 0.55 * t ** 3, lowers), Math.round(FULL * t)], 4 * code);
  });
  return lut;
}

/** The colours of a ramp, from none to full strength, as a style sheet writes them. */
export function gradient(theme: Theme): string {
  const { ink, lowers } = PALETTES[theme];
  const stops = [0, 0.25, 0.5, 0.75, 1].map((t) => {
    const [red, green, blue] = over(ink, 0.55 * t ** 3, lowers);
    return `rgb(${red} ${green} ${blue} / ${t})`;
  });
  return `linear-gradient(to right, ${stops.join(", ")})`;
}

/** Colours of pictures; a byte of 0 is clear, whatever the scale. */
export function painted(codes: Uint8Array, lut: Lut): Uint8ClampedArray<ArrayBuffer> {
  const image = new Uint8ClampedArray(4 * codes.length);
  const [from, to] = [new Uint32Array(lut.buffer), new Uint32Array(image.buffer)];
  for (let i = 0; i < codes.length; i++) to[i] = from[codes[i] ?? 0] ?? 0;
  return image;
}

/** Colours of the difference of two pictures: orange where the first is larger, else blue. */
export function difference(
  first: Uint8Array,
  second: Uint8Array,
  theme: Theme,
  scale: Scale,
  least: number,
): Uint8ClampedArray<ArrayBuffer> {
  const { raises, lowers } = PALETTES[theme];
  const image = new Uint8ClampedArray(4 * first.length);
  for (let i = 0; i < first.length; i++) {
    const gap = (WEIGHTS[first[i] ?? 0] ?? 0) - (WEIGHTS[second[i] ?? 0] ?? 0);
    const t = Math.abs(gap) < least ? 0 : strength(Math.abs(gap), scale);
    const hue = gap > 0 ? raises : lowers;
    image[4 * i] = hue[0];
    image[4 * i + 1] = hue[1];
    image[4 * i + 2] = hue[2];
    image[4 * i + 3] = Math.round(FULL * t);
  }
  return image;
}

/** An image on a canvas of its own; null where there is no canvas. */
export function canvasOf(
  pixels: Uint8ClampedArray<ArrayBuffer>,
  width: number,
  height: number,
): HTMLCanvasElement | null {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context || width * height === 0) return null;
  context.putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas;
}
