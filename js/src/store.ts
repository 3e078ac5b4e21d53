/**
 * What the view knows, as a pure function of what arrived.
 *
 * - A chunk's rows replace rows of the same number, so a replay changes nothing.
 * - A chunk with an old `seq`, or of another job, is ignored.
 * - A chunk that follows a hole is drawn, and `stale` asks for a snapshot.
 * - A snapshot never takes back rows that a later chunk brought, nor a job's end.
 *
 * States are never changed in place, and rows that did not change keep their identity: a
 * component that was given a row can compare it with `===`.
 */

import { type Bytes, floats, rowOf } from "./decode";
import { type Chunk, type JobState, PROTOCOL, type Snapshot, type Subject } from "./protocol.gen";

/** The scores of one output. NaN means absent. */
export interface Row {
  readonly scores: Float32Array;
  readonly error: Float32Array | null;
  readonly seq: number;
}

/** Base value, output value and completeness gap of every output. */
export interface Totals {
  readonly base: Float32Array;
  readonly output: Float32Array;
  readonly gap: Float32Array;
}

export interface State {
  readonly job: string;
  /** Highest `seq` seen; everything at or below it was applied, unless `stale`. */
  readonly seq: number;
  /** The lowest `seq` a snapshot must have to close the hole; 0 when there is none. */
  readonly wanted: number;
  readonly stale: boolean;
  readonly subject: Subject | null;
  readonly progress: JobState | null;
  readonly rows: readonly (Row | null)[];
  readonly totals: Totals | null;
  /** The protocol number of a kernel this view cannot talk to; null when all is well. */
  readonly foreign: number | null;
}

export type Action =
  | { readonly type: "snapshot"; readonly snapshot: unknown }
  | { readonly type: "chunk"; readonly chunk: Chunk; readonly buffers: readonly Bytes[] };

export const EMPTY: State = {
  job: "",
  seq: 0,
  wanted: 0,
  stale: false,
  subject: null,
  progress: null,
  rows: [],
  totals: null,
  foreign: null,
};

export function reduce(state: State, action: Action): State {
  return action.type === "snapshot"
    ? applySnapshot(state, action.snapshot)
    : applyChunk(state, action.chunk, action.buffers);
}

/** Whether nothing more will come. */
export function finished(progress: JobState | null): boolean {
  return progress !== null && progress.status !== "running" && progress.status !== "queued";
}

function isSnapshot(value: unknown): value is Snapshot {
  if (typeof value !== "object" || value === null) return false;
  const { protocol, subject, state } = value as Partial<Snapshot>;
  return typeof protocol === "number" && subject !== undefined && state !== undefined;
}

function applySnapshot(state: State, snapshot: unknown): State {
  if (!isSnapshot(snapshot)) return state;
  if (snapshot.protocol !== PROTOCOL) return { ...state, foreign: snapshot.protocol };

  const known = snapshot.job === state.job ? state : EMPTY;
  const { inputs, outputs } = snapshot.subject;
  const scores = floats(snapshot.scores);
  const errors = floats(snapshot.standard_error);
  const rows = outputs.map((_, row): Row | null => {
    const held = known.rows[row] ?? null;
    if (held !== null && held.seq > snapshot.seq) return held;
    return makeRow(rowOf(scores, row, inputs.length), rowOf(errors, row, inputs.length), snapshot);
  });

  const older = snapshot.seq < known.seq;
  const wanted = snapshot.seq >= known.wanted ? 0 : known.wanted;
  const keepsProgress = older || (finished(known.progress) && !finished(snapshot.state));
  return {
    job: snapshot.job,
    seq: Math.max(known.seq, snapshot.seq),
    wanted,
    stale: wanted > 0,
    subject: snapshot.subject,
    progress: keepsProgress && known.progress !== null ? known.progress : snapshot.state,
    rows,
    totals: (older ? known.totals : null) ?? makeTotals(floats(snapshot.totals), outputs.length),
    foreign: null,
  };
}

function applyChunk(state: State, chunk: Chunk, buffers: readonly Bytes[]): State {
  if (state.subject === null) return state.stale ? state : { ...state, stale: true };
  if (chunk.job !== state.job || chunk.seq <= state.seq) return state;

  const columns = state.subject.inputs.length;
  const scores = floats(buffers[0]);
  const errors = floats(buffers[1]);
  const rows = state.rows.slice();
  for (let i = 0; i < chunk.rows && chunk.row + i < rows.length; i++) {
    const row = makeRow(rowOf(scores, i, columns), rowOf(errors, i, columns), chunk);
    if (row !== null) rows[chunk.row + i] = row;
  }

  const hole = chunk.seq > state.seq + 1;
  const wanted = hole ? chunk.seq - 1 : state.wanted;
  return {
    ...state,
    seq: chunk.seq,
    wanted,
    stale: wanted > 0,
    progress: chunk.state,
    rows,
    totals: makeTotals(floats(buffers[2]), state.rows.length) ?? state.totals,
  };
}

function makeRow(
  scores: Float32Array | null,
  error: Float32Array | null,
  { seq }: { seq: number },
): Row | null {
  return scores === null ? null : { scores, error, seq };
}

function makeTotals(values: Float32Array, outputs: number): Totals | null {
  const base = rowOf(values, 0, outputs);
  const output = rowOf(values, 1, outputs);
  const gap = rowOf(values, 2, outputs);
  return base !== null && output !== null && gap !== null ? { base, output, gap } : null;
}
