/**
 * Several explanations of one text, piece by piece: aligned, ranked, and where they disagree.
 *
 * Pieces are matched by their characters of the prompt. Methods have different units, so each
 * explanation is scaled by its own largest |score|, and compared with the others by ranks.
 */

import { spoken, standing } from "./format";
import type { JobState, Level, TokenInfo, Verdict } from "./protocol.gen";
import { type Readings, read } from "./readings";
import { listed, say } from "./say";
import { finished, type State } from "./store";
import * as W from "./words";

export interface Strip {
  readonly label: string;
  readonly state: State;
  readonly readings: Readings;
  /** Whether a score is an effect, so that its sign has a meaning. */
  readonly signed: boolean;
  /** By column; NaN where absent. */
  readonly scores: readonly number[];
  readonly unsure: readonly boolean[];
  readonly ranks: readonly number[];
}

export type Disagreement = "sign" | "rank" | null;

export interface Comparison {
  /** Positions, in the first explanation, of the pieces that are compared. */
  readonly columns: readonly number[];
  readonly strips: readonly Strip[];
  /** Spearman's rank correlation of every pair; NaN where it is not defined. */
  readonly correlation: readonly (readonly number[])[];
  readonly disagreements: readonly Disagreement[];
}

/** A score below this share of the largest one is too small to disagree about. */
const SMALL = 0.1;
/** In the first fifth here and in the last half there. */
const HIGH = 0.2;
const LOW = 0.5;
const ALIKE = 0.8;

export function compare(
  states: readonly State[],
  labels: readonly string[],
  output: number,
): Comparison {
  const inputs = states[0]?.subject?.inputs ?? [];
  const columns = inputs.flatMap((piece, i) => (piece.special ? [] : [i]));
  const keys = columns.map((i) => keyOf(inputs[i]));
  const strips = states.map((state, i): Strip => {
    const own = state.subject?.inputs ?? [];
    const places = new Map(own.flatMap((piece, at) => (piece.special ? [] : [[keyOf(piece), at]])));
    const readings = read(state.rows[output] ?? null, own.length);
    const found = keys.map((key) => readings.all[places.get(key) ?? -1]);
    return {
      label: labels[i] ?? String(i + 1),
      state,
      readings,
      signed: state.subject?.unit !== "score",
      scores: found.map((reading) => reading?.score ?? Number.NaN),
      unsure: found.map((reading) => reading?.unsure ?? false),
      ranks: found.map((reading) => reading?.rank ?? 0),
    };
  });
  return {
    columns,
    strips,
    correlation: strips.map((a) => strips.map((b) => correlationOf(a, b))),
    disagreements: columns.map((_, i) => disagreement(strips, i)),
  };
}

function keyOf(piece: TokenInfo | undefined): string {
  return `${piece?.start}-${piece?.end}`;
}

/** Of signed scores where both have signs, else of magnitudes. */
function correlationOf(a: Strip, b: Strip): number {
  const bare = !(a.signed && b.signed);
  const pairs = a.scores.flatMap((x, i): [number, number][] => {
    const y = b.scores[i] ?? Number.NaN;
    if (Number.isNaN(x) || Number.isNaN(y)) return [];
    return [bare ? [Math.abs(x), Math.abs(y)] : [x, y]];
  });
  return spearman(
    pairs.map(([x]) => x),
    pairs.map(([, y]) => y),
  );
}

/** Spearman's rank correlation; ties share their mean rank. NaN below three pairs. */
export function spearman(x: readonly number[], y: readonly number[]): number {
  if (x.length < 3) return Number.NaN;
  const [a, b] = [meanRanks(x), meanRanks(y)];
  const middle = (x.length + 1) / 2;
  const moment = (p: readonly number[], q: readonly number[]): number =>
    p.reduce((sum, value, i) => sum + (value - middle) * ((q[i] ?? 0) - middle), 0);
  return moment(a, b) / Math.sqrt(moment(a, a) * moment(b, b));
}

function meanRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const ranks = new Array<number>(values.length);
  for (let i = 0; i < order.length; ) {
    let end = i + 1;
    while (end < order.length && values[order[end] ?? 0] === values[order[i] ?? 0]) end++;
    for (const at of order.slice(i, end)) ranks[at] = (i + 1 + end) / 2;
    i = end;
  }
  return ranks;
}

function disagreement(strips: readonly Strip[], column: number): Disagreement {
  const clear = strips.filter(
    ({ signed, scores, unsure, readings }) =>
      signed && !unsure[column] && Math.abs(scores[column] ?? 0) >= SMALL * readings.largest,
  );
  const signs = new Set(clear.map(({ scores }) => Math.sign(scores[column] ?? 0)));
  if (signs.has(1) && signs.has(-1)) return "sign";
  const place = ({ ranks, readings }: Strip): number =>
    (ranks[column] ?? 0) / Math.max(1, readings.ranked.length);
  const high = strips.filter(
    ({ scores, unsure, readings }) =>
      !unsure[column] && Math.abs(scores[column] ?? 0) >= SMALL * readings.largest,
  );
  const total = strips[0]?.scores.length ?? 0;
  const apart =
    high.some((strip) => place(strip) <= Math.max(HIGH, 1 / total)) &&
    strips.some((strip) => place(strip) > LOW);
  return total > 3 && apart ? "rank" : null;
}

const ORDER: readonly Verdict[] = [
  "exact",
  "converged",
  "unknown",
  "still moving",
  "did not converge",
];

/** One state for what stands around the strips: all jobs' progress and facts as one. */
export function summary(comparison: Comparison, output: number): State | null {
  const states = comparison.strips.map(({ state }) => state);
  const [first] = states;
  if (!first?.subject) return null;
  const known = states.flatMap(({ progress }) => progress ?? []);
  const sum = (of: (progress: JobState) => number): number =>
    known.reduce((all, progress) => all + of(progress), 0);
  const running = known.find((progress) => !finished(progress));
  const worst = (a: Verdict, b: Verdict): Verdict => (ORDER.indexOf(a) < ORDER.indexOf(b) ? b : a);
  const progress: JobState = {
    status: running ? "running" : (known[0]?.status ?? "done"),
    preview: false,
    verdict: known.map(({ verdict }) => verdict).reduce(worst, "exact"),
    done: sum(({ done }) => done),
    total: sum(({ total }) => total),
    evaluations: sum(({ evaluations }) => evaluations),
    seconds: sum(({ seconds }) => seconds),
    sentences: first.subject.outputs.map((_, i) =>
      i === output && !running ? sentence(comparison) : "",
    ),
    facts: comparison.strips.map(({ label, state }) => ({
      label,
      value: describe(state),
      level: levelOf(state),
    })),
    error: known.find(({ error }) => error)?.error ?? null,
  };
  const cautions = new Set(states.map(({ subject }) => subject?.caution ?? ""));
  return {
    ...first,
    subject: {
      ...first.subject,
      method_title: say(W.SIDE_BY_SIDE, { n: states.length }),
      caution: [...cautions].filter(Boolean).join(" "),
    },
    progress,
  };
}

function levelOf({ progress }: State): Level {
  if (progress?.status === "failed") return "bad";
  return progress?.verdict === "did not converge" ? "warn" : "plain";
}

function describe({ progress, subject }: State): string {
  if (progress === null || subject === null) return say(W.WAITING);
  if (!finished(progress)) {
    return progress.total > 0
      ? `${Math.round((100 * progress.done) / progress.total)} %`
      : standing(progress.status);
  }
  const worst = progress.facts.find(({ level }) => level !== "plain");
  return listed([
    standing(progress.status === "done" ? progress.verdict : progress.status),
    worst ? `${worst.label} ${worst.value}` : "",
  ]);
}

/** What comes first in each, and how alike the rankings are. */
function sentence({ strips, columns, correlation, disagreements }: Comparison): string {
  const inputs = strips[0]?.state.subject?.inputs ?? [];
  if (strips.length < 2 || strips.some(({ readings }) => readings.ranked.length === 0)) return "";
  const firsts = strips.map(({ ranks }) => ranks.indexOf(1));
  const names = firsts.map((column) => `“${spoken(inputs[columns[column] ?? -1]?.text ?? "")}”`);
  const same = new Set(firsts).size === 1;
  const unsure = strips.some(({ readings }) => readings.ranked[0]?.unsure);
  const piece = names[0] ?? "";
  const put =
    strips.length === 2
      ? say(W.BOTH_PUT_FIRST, { piece })
      : say(W.ALL_PUT_FIRST, { n: strips.length, piece });
  const first = same
    ? unsure
      ? say(W.PUT_FIRST_UNSURE, { put })
      : say(W.PUT_FIRST, { put })
    : say(W.DIFFERENT_FIRSTS, {
        pieces: listed(strips.map(({ label }, i) => `${names[i]} (${label})`)),
      });
  const pairs = correlation
    .flatMap((row, i) => row.slice(i + 1))
    .filter((rho) => !Number.isNaN(rho));
  if (pairs.length === 0) return first;
  const least = Math.min(...pairs);
  const shown = least.toFixed(2).replace("-", "−");
  const rho = pairs.length > 1 ? say(W.AT_LEAST_RHO, { rho: shown }) : shown;
  const n = disagreements.filter((one) => one === "sign").length;
  return listed(
    [
      first,
      least >= ALIKE ? say(W.RANKINGS_ALIKE, { rho }) : say(W.RANKINGS_DIFFER, { rho }),
      n === 1 ? say(W.ONE_CLASH) : n > 0 ? say(W.N_CLASHES, { n }) : "",
    ],
    W.BETWEEN_SENTENCES,
  );
}
