/** Where dots stand: along the scale by score, piled up around their row's line. */

import type { Group } from "./collection";

/** Between 0, all piles as high as the row, and 1, all pressed by the same share. */
const PRESSED = 0.5;

export interface Dots {
  /** Pixels from the left, by rising score. */
  readonly x: Float32Array;
  /** Pixels from the row's line, below it. */
  readonly y: Float32Array;
}

/**
 * Dots of one row, by rising score. Each takes the level nearest to the line where it is `step`
 * pixels from the last one, so that none covers another; a row that would be higher than `room` is
 * pressed together, its highest piles most, so that it still shows where dots are many.
 */
export function swarm(
  scores: Float64Array,
  x: (score: number) => number,
  step: number,
  room: number,
): Dots {
  const at = Float32Array.from(scores, x);
  const ends: number[] = []; // of each level: 0 is on the line, then one above, one below, …
  const levels = Int32Array.from(at, (value) => {
    const free = ends.findIndex((end) => value - end >= step);
    const level = free < 0 ? ends.length : free;
    ends[level] = value;
    return level;
  });
  const highest = Math.ceil((ends.length - 1) / 2);
  const pressed = highest * step > room;
  const power = pressed ? Math.max(PRESSED, Math.log(room / step) / Math.log(highest)) : 1;
  const top = Math.min(room, highest * step);
  const y = Float32Array.from(levels, (level) => {
    const height = Math.ceil(level / 2);
    return (level % 2 === 0 ? 1 : -1) * (height && top * (height / highest) ** power);
  });
  return { x: at, y };
}

/** The dot under a point of a row, or -1: looked for among those near in x only. */
export function dotAt({ x, y }: Dots, px: number, py: number, reach: number): number {
  let low = 0;
  for (let high = x.length; low < high; ) {
    const middle = (low + high) >> 1;
    if ((x[middle] ?? 0) < px - reach) low = middle + 1;
    else high = middle;
  }
  let [best, nearest] = [-1, reach];
  for (let i = low; i < x.length && (x[i] ?? 0) <= px + reach; i++) {
    const distance = Math.hypot((x[i] ?? 0) - px, (y[i] ?? 0) - py);
    if (distance <= nearest) [best, nearest] = [i, distance];
  }
  return best;
}

/** The ends of the scale: all scores and zero. */
export function reachOf(rows: readonly Group[]): readonly [low: number, high: number] {
  let [low, high] = [0, 0];
  for (const { scores } of rows) {
    low = Math.min(low, scores[0] ?? 0);
    high = Math.max(high, scores.at(-1) ?? 0);
  }
  return low === high ? [-1, 1] : [low, high];
}
