/**
 * Where every bar of a waterfall begins and ends: from the base value up to the output.
 *
 * Steps are listed from the output downwards, the largest piece first, as in shap's plot; read
 * upwards, each begins where the one below it ended. What the scores fail to add up to is a step
 * of its own, so the way always ends at the output.
 */

import type { Reading, Readings } from "./readings";

export interface Step {
  /** A piece; all smaller ones together; or what the scores leave unexplained. */
  readonly kind: "piece" | "others" | "rest";
  /** Position of the piece; -1 for the other kinds. */
  readonly index: number;
  /** How many pieces it stands for. */
  readonly count: number;
  readonly from: number;
  readonly to: number;
  /** Half the 95 % interval; NaN where unknown, as for several pieces together. */
  readonly margin: number;
  readonly unsure: boolean;
}

export interface Waterfall {
  readonly base: number;
  readonly output: number;
  readonly steps: readonly Step[];
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
}

/** Share of the whole change above which what is unexplained gets a step. */
const NEGLIGIBLE = 1e-3;
const PADDING = 0.04;
const TICKS = 7;

/**
 * @param readings One output's scores; absent ones count for nothing.
 * @param base Value with everything switched off.
 * @param output Value of the text as it is.
 * @param shown How many pieces get a step of their own, if there are more.
 */
export function waterfall(
  readings: Readings,
  base: number,
  output: number,
  shown: number,
): Waterfall {
  const { ranked } = readings;
  const own = ranked.length <= shown + 1 ? ranked : ranked.slice(0, shown);
  const others = ranked.slice(own.length);
  const sum = (some: readonly Reading[]): number => some.reduce((all, r) => all + r.score, 0);
  const rest = output - base - sum(ranked);
  const largest = Math.max(Math.abs(output - base), readings.largest);

  const steps: Step[] = [];
  let at = base;
  const add = (kind: Step["kind"], size: number, more: Partial<Step> = {}): void => {
    const next = at + size;
    const known = { index: -1, count: 1, margin: Number.NaN, unsure: false };
    steps.unshift({ kind, from: at, to: next, ...known, ...more });
    at = next;
  };
  if (Math.abs(rest) > NEGLIGIBLE * largest) add("rest", rest);
  if (others.length > 0) {
    add("others", sum(others), { count: others.length });
  }
  for (const { index, score, margin, unsure } of own.toReversed()) {
    add("piece", score, { index, margin, unsure });
  }

  const ends = steps.flatMap(({ from, to, margin }) => [
    from,
    to - (margin || 0),
    to + (margin || 0),
  ]);
  const low = Math.min(base, output, ...ends);
  const high = Math.max(base, output, ...ends);
  const room = (high - low || Math.abs(high) || 1) * PADDING;
  return {
    base,
    output,
    steps,
    low: low - room,
    high: high + room,
    ticks: ticks(low - room, high + room),
  };
}

/** Round numbers within a range, about seven of them. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / TICKS;
  if (!(rough > 0) || !Number.isFinite(rough)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const count = Math.floor(high / step) - first + 1;
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

/** Where a value stands between the ends, in per cent. */
export function place({ low, high }: Pick<Waterfall, "low" | "high">, value: number): number {
  return (100 * (value - low)) / (high - low);
}
