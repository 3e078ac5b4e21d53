/** Where dots stand: along the scale by score, piled up around their row's line. */

import type { Group } from "./collection";

export interface Dots {
  /** Pixels from the left, by rising score. */
  readonly x: Float32Array;
  /** Pixels from the row's line, below it. */
  readonly y: Float32Array;
}

/**
 * Dots of one row. Those of one bin of `step` pixels pile up, alternately above and below the
 * line; a pile that would be higher than `room` is pressed together.
 */
export function swarm(
  scores: Float64Array,
  x: (score: number) => number,
  step: number,
  room: number,
): Dots {
  const at = Float32Array.from(scores, x);
  const bins = Int32Array.from(at, (value) => Math.floor(value / step));
  const sizes = new Map<number, number>();
  for (const bin of bins) sizes.set(bin, (sizes.get(bin) ?? 0) + 1);
  const filled = new Map<number, number>();
  const y = Float32Array.from(bins, (bin) => {
    const level = filled.get(bin) ?? 0;
    filled.set(bin, level + 1);
    const most = Math.ceil(((sizes.get(bin) ?? 1) - 1) / 2);
    const gap = most > 0 ? Math.min(step, room / most) : 0;
    return (level % 2 === 0 ? 1 : -1) * Math.ceil(level / 2) * gap;
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
