/** Several written tokens explained as one, where their log-probabilities add up. */

import type { State } from "./store";

/** Whether scores of neighbouring outputs can be added: those of log-probabilities can. */
export function canAdd({ subject }: State): boolean {
  return subject?.unit === "log_prob";
}

/**
 * The state in which output `first` stands for `count` outputs from there on.
 *
 * The log-probability of a span is the sum of its tokens', and so are its scores. How the
 * estimates of one piece move together is not known: their errors are added, the most it can be.
 */
export function together(state: State, first: number, count: number): State {
  const { subject, progress, rows, totals } = state;
  const span = rows.slice(first, first + count);
  if (subject === null || count < 2 || span.some((row) => row === null)) return state;
  const sum = (each: (i: number) => Float32Array | null): Float32Array | null => {
    const parts = span.map((_, i) => each(i)).filter((part) => part !== null);
    if (parts.length < span.length) return null;
    return Float32Array.from(parts[0] ?? [], (_, x) =>
      parts.reduce((all, part) => all + (part[x] ?? Number.NaN), 0),
    );
  };
  const scores = sum((i) => span[i]?.scores ?? null) ?? new Float32Array();
  const error = sum((i) => span[i]?.error ?? null);
  const text = subject.outputs
    .slice(first, first + count)
    .map((token) => token.text)
    .join("");
  const add = (values: Float32Array): Float32Array =>
    values.with(
      first,
      values.slice(first, first + count).reduce((all, value) => all + value, 0),
    );
  return {
    ...state,
    subject: { ...subject, outputs: replaced(subject.outputs, first, { text }) },
    progress: progress && { ...progress, sentences: progress.sentences.with(first, "") },
    rows: rows.with(first, { scores, error, seq: state.seq }),
    totals: totals && {
      base: add(totals.base),
      output: add(totals.output),
      gap: totals.gap.with(first, Number.NaN),
    },
  };
}

function replaced<T extends object>(all: T[], at: number, more: Partial<T>): T[] {
  return all.map((one, i) => (i === at ? { ...one, ...more } : one));
}
