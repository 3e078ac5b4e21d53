/**
 * Where every segment of a force plot lies: what raises the output pushes up to it from the left,
 * what lowers it pushes back from the right, the largest nearest to where they meet.
 */

import type { Reading, Readings } from "./readings";
import { ticks } from "./waterfall";

export interface Segment {
  /** A piece; all of one direction too small to see; or what the scores leave unexplained. */
  readonly kind: "piece" | "others" | "rest";
  /** Position of the piece; -1 for the other kinds. */
  readonly index: number;
  /** How many pieces it stands for. */
  readonly count: number;
  /** Effect on the output. */
  readonly score: number;
  readonly low: number;
  readonly high: number;
  readonly unsure: boolean;
}

export interface Force {
  readonly base: number;
  readonly output: number;
  /** From left to right. */
  readonly segments: readonly Segment[];
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

/** Share of the plot's width below which pieces of one direction are joined. */
const VISIBLE = 0.006;
/** Share of the whole change above which what is unexplained gets a segment. */
const NEGLIGIBLE = 1e-3;
const PADDING = 0.04;

/**
 * @param readings One output's scores; absent ones count for nothing.
 * @param base Value with everything switched off.
 * @param output Value of the text as it is.
 */
export function force(readings: Readings, base: number, output: number): Force {
  const { ranked } = readings;
  const sum = (some: readonly Reading[]): number => some.reduce((all, r) => all + r.score, 0);
  const raising = ranked.filter((r) => r.score > 0);
  const lowering = ranked.filter((r) => r.score < 0);
  const missing = output - base - sum(ranked);
  const rest = Math.abs(missing) > NEGLIGIBLE * Math.max(Math.abs(output - base), readings.largest);
  const up = sum(raising) + (rest ? Math.max(0, missing) : 0);
  const down = -sum(lowering) - (rest ? Math.min(0, missing) : 0);
  const least = VISIBLE * (up + down);

  const segments: Segment[] = [];
  const side = (readingsOfSide: readonly Reading[], way: 1 | -1): void => {
    let at = output;
    const add = (kind: Segment["kind"], score: number, more: Partial<Segment> = {}): void => {
      const next = at - score;
      const known = { index: -1, count: 1, unsure: false };
      const segment = { kind, score, low: Math.min(at, next), high: Math.max(at, next) };
      if (way > 0) segments.unshift({ ...known, ...segment, ...more });
      else segments.push({ ...known, ...segment, ...more });
      at = next;
    };
    const own = readingsOfSide.filter((r) => Math.abs(r.score) >= least);
    const others = readingsOfSide.slice(own.length);
    for (const { index, score, unsure } of own) add("piece", score, { index, unsure });
    if (others.length > 0) add("others", sum(others), { count: others.length });
    if (rest && missing * way > 0) add("rest", missing);
  };
  side(raising, 1);
  side(lowering, -1);

  const low = Math.min(base, output - up);
  const high = Math.max(base, output + down);
  const room = (high - low || Math.abs(high) || 1) * PADDING;
  return {
    base,
    output,
    segments,
    low: low - room,
    high: high + room,
    ticks: ticks(low - room, high + room),
  };
}
