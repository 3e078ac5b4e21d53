/** Which heads are shown, and in which order. */

import * as W from "../words";
import type { Overview, Stack } from "./board";

export interface HeadAt {
  readonly layer: number;
  readonly head: number;
}

/** Score names as a reader says them, and what they mean. */
export const SCORES: Readonly<Record<string, readonly [name: string, meaning: string]>> = {
  induction: [W.INDUCTION, W.INDUCTION_MEANING],
  previous_token: [W.PREVIOUS_TOKEN, W.PREVIOUS_TOKEN_MEANING],
  duplicate_token: [W.DUPLICATE_TOKEN, W.DUPLICATE_TOKEN_MEANING],
  first_token: [W.FIRST_TOKEN, W.FIRST_TOKEN_MEANING],
  entropy: [W.ENTROPY, W.ENTROPY_MEANING],
  distance: [W.DISTANCE, W.DISTANCE_MEANING],
};

export function scoreOf(
  overview: Overview | null,
  { layers, heads }: Stack,
  name: string,
  { layer, head }: HeadAt,
): number {
  const row = overview?.names.indexOf(name) ?? -1;
  return row < 0
    ? Number.NaN
    : (overview?.scores[(row * layers + layer) * heads + head] ?? Number.NaN);
}

/** All heads by their place; or those of a score, the highest first, without those below `least`. */
export function ranked(
  overview: Overview | null,
  stack: Stack,
  sort: string,
  least: number,
): HeadAt[] {
  const all = Array.from({ length: stack.layers * stack.heads }, (_, i) => ({
    layer: Math.floor(i / stack.heads),
    head: i % stack.heads,
  }));
  if (sort === "") return all;
  const scores = new Map(all.map((at) => [at, scoreOf(overview, stack, sort, at)]));
  const of = (at: HeadAt): number => scores.get(at) ?? Number.NaN;
  return all
    .filter((at) => !(of(at) < least))
    .sort((a, b) => (of(b) || 0) - (of(a) || 0) || a.layer - b.layer || a.head - b.head);
}

/** Each layer's mean of a score; NaN where it is not known. */
export function profile(overview: Overview | null, stack: Stack, name: string): number[] {
  return Array.from({ length: stack.layers }, (_, layer) => {
    const scores = Array.from({ length: stack.heads }, (_, head) =>
      scoreOf(overview, stack, name, { layer, head }),
    );
    return scores.reduce((sum, score) => sum + score, 0) / stack.heads;
  });
}
