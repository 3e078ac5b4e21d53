/** The part of a matrix that is seen: pan and zoom in cells, and colours as an image. */

import { clamp } from "./clamp";
import { over, PALETTES, position, type Theme } from "./colour";
import { Z95 } from "./readings";
import type { Row } from "./store";

/** Top left corner and size of what is seen, in cells. */
export interface Window {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** A window is never smaller than this, nor larger than the matrix. */
const SMALLEST = 4;
const UNSURE = 0.16;

export function whole({ columns, rows }: Size): Window {
  return { left: 0, top: 0, width: columns, height: rows };
}

/** Closer by `factor`, with the point at (x, y) in cells staying where it is. */
export function zoomed(seen: Window, factor: number, x: number, y: number, size: Size): Window {
  const width = clamp(seen.width / factor, Math.min(SMALLEST, size.columns), size.columns);
  const height = clamp(seen.height / factor, Math.min(SMALLEST, size.rows), size.rows);
  return within(
    {
      left: x - ((x - seen.left) * width) / seen.width,
      top: y - ((y - seen.top) * height) / seen.height,
      width,
      height,
    },
    size,
  );
}

export function panned(seen: Window, dx: number, dy: number, size: Size): Window {
  return within({ ...seen, left: seen.left + dx, top: seen.top + dy }, size);
}

/** Moved as little as needed for a cell to be seen. */
export function showing(seen: Window, column: number, row: number, size: Size): Window {
  const into = (start: number, length: number, cell: number): number =>
    Math.max(Math.min(start, cell), cell + 1 - length);
  return within(
    {
      ...seen,
      left: into(seen.left, seen.width, column),
      top: into(seen.top, seen.height, row),
    },
    size,
  );
}

function within({ left, top, width, height }: Window, { columns, rows }: Size): Window {
  return {
    left: clamp(left, 0, columns - width),
    top: clamp(top, 0, rows - height),
    width,
    height,
  };
}

/** The largest |score| of all rows. */
export function largestOf(rows: readonly (Row | null)[]): number {
  let largest = 0;
  for (const row of rows) {
    for (const score of row?.scores ?? []) {
      if (Math.abs(score) > largest) largest = Math.abs(score);
    }
  }
  return largest;
}

/** One RGBA pixel a cell: zero and absent are clear, an unsure score is grey. */
export function pixels(
  rows: readonly (Row | null)[],
  columns: number,
  limit: number,
  theme: Theme,
): Uint8ClampedArray<ArrayBuffer> {
  const { ink, raises, lowers } = PALETTES[theme];
  const image = new Uint8ClampedArray(rows.length * columns * 4);
  rows.forEach((row, y) => {
    if (row === null) return;
    for (let x = 0; x < columns; x++) {
      const score = row.scores[x] ?? Number.NaN;
      const t = position(score, limit);
      const unsure = Math.abs(score) < Z95 * (row.error?.[x] ?? 0);
      const colour = unsure ? ink : t < 0 ? lowers : raises;
      const alpha = unsure ? UNSURE * Math.sqrt(Math.abs(t)) : Math.abs(t) ** 0.8;
      image.set([...over(colour, 1, colour), Math.round(255 * alpha)], 4 * (y * columns + x));
    }
  });
  return image;
}
