/**
 * What each token's number means: margin, rank, share, and whether its sign is sure.
 *
 * Everything is keyed by a token's position in the list of inputs, never by its text. A NaN
 * score is absent: it has no rank, no share and no tint.
 */

import { magnitude, ordinal, signed, spoken, unitName } from "./format";
import type { Subject, TokenInfo, Unit } from "./protocol.gen";
import { listed, say } from "./say";
import type { Row } from "./store";
import * as W from "./words";

/** Half the width of a 95 % interval, in standard errors. */
export const Z95 = 1.96;

export interface Reading {
  readonly index: number;
  readonly score: number;
  /** Half the 95 % interval; NaN when no standard error is known. */
  readonly margin: number;
  /** The 95 % interval crosses zero: not even the sign is sure. */
  readonly unsure: boolean;
  /** 1 for the largest |score|; 0 when the score is absent. */
  readonly rank: number;
  /** |score| over the sum of all |scores|. */
  readonly share: number;
}

export interface Readings {
  readonly all: readonly Reading[];
  /** Present scores, largest |score| first. */
  readonly ranked: readonly Reading[];
  readonly largest: number;
  readonly anyUnsure: boolean;
}

export function isAbsent(reading: Reading): boolean {
  return Number.isNaN(reading.score);
}

/** Read one output's row; `inputs` readings come back whatever the row holds. */
export function read(row: Row | null, inputs: number): Readings {
  const scores = Array.from({ length: inputs }, (_, i) => row?.scores[i] ?? Number.NaN);
  const present = scores.flatMap((score, i) => (Number.isNaN(score) ? [] : [i]));
  const size = (i: number): number => Math.abs(scores[i] ?? 0);
  present.sort((a, b) => size(b) - size(a) || a - b);
  const sum = present.reduce((total, i) => total + size(i), 0);
  const ranks = new Map(present.map((i, rank) => [i, rank + 1]));

  const all = scores.map((score, index): Reading => {
    const margin = Z95 * (row?.error?.[index] ?? Number.NaN);
    return {
      index,
      score,
      margin,
      unsure: margin > 0 && Math.abs(score) < margin,
      rank: ranks.get(index) ?? 0,
      share: sum > 0 ? Math.abs(score) / sum : Number.NaN,
    };
  });
  const ranked = present.flatMap((i) => all[i] ?? []);
  return {
    all,
    ranked,
    largest: ranked[0] ? Math.abs(ranked[0].score) : 0,
    anyUnsure: ranked.some((reading) => reading.unsure),
  };
}

/** Whether some pieces are scored and others, which could be, are not. */
export function isPartial({ inputs }: Subject, { all, ranked }: Readings): boolean {
  return (
    ranked.length > 0 && inputs.some(({ special }, i) => !special && isAbsent(all[i] as Reading))
  );
}

/** The limit of the colour scale: fixed by the reader, or this output's largest |score|. */
export function colourLimit(fixed: unknown, readings: Readings): number {
  return typeof fixed === "number" && fixed > 0 && Number.isFinite(fixed)
    ? fixed
    : readings.largest;
}

/** What is explained, in quotation marks unless the target brings its own. */
export function targetName(subject: Subject, output: number): string {
  const several = subject.outputs.length > 1;
  const text = (several ? subject.outputs[output]?.text : undefined) ?? subject.target;
  const quoted = !several && /["“”]/.test(text) ? text : `“${text}”`;
  return quoted.replace(/“\s+(?=[^\s”])/g, "“").replace(/(?<=[^\s“])\s+”/g, "”");
}

/** One sentence for a screen reader. */
export function sentence(token: TokenInfo, reading: Reading, subject: Subject, output: number) {
  const nth = ordinal(reading.index + 1);
  const { role, special, text } = token;
  return listed([
    `“${spoken(text)}”`,
    role === null ? say(W.NTH_TOKEN, { nth }) : say(W.NTH_TOKEN_OF_TURN, { nth, role }),
    ...(isAbsent(reading)
      ? [special ? say(W.SPECIAL_NOT_SCORED) : say(W.NO_SCORE_YET)]
      : [scoreWords(reading, subject.unit), effect(reading, subject, targetName(subject, output))]),
  ]);
}

/** A score with its margin and unit. */
export function scoreWords(
  { score, margin }: Pick<Reading, "score" | "margin">,
  unit: Unit,
): string {
  const half = margin > 0 ? ` ± ${magnitude(margin)}` : "";
  return `${signed(score)}${half} ${unitName(unit)}`;
}

/** The direction in words; says so when it is not sure. */
export function effect(reading: Reading, { unit }: Subject, target: string): string {
  if (reading.unsure) return say(W.DIRECTION_NOT_SURE);
  if (unit === "score") return say(W.NOT_AN_EFFECT);
  if (reading.score === 0) return say(W.LEAVES_TARGET_AS_IT_IS, { target });
  return reading.score > 0 ? say(W.RAISES_TARGET, { target }) : say(W.LOWERS_TARGET, { target });
}
