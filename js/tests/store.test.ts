import { describe, expect, it } from "vitest";
import type { Chunk, Snapshot } from "../src/protocol.gen";
import { EMPTY, reduce, type State } from "../src/store";
import { bytes, chunk, progress, snapshot, subject, token } from "./samples";

const TWO = subject({ outputs: [token(" Paris"), token(" London")] });
const ZEROS = [0, 0, 0, 0, 0];

function load(state: State, more: Partial<Snapshot> = {}): State {
  const scores = bytes([...ZEROS, ...ZEROS]);
  return reduce(state, { type: "snapshot", snapshot: snapshot({ subject: TWO, scores, ...more }) });
}

function play(state: State, seq: number, value: number, more: Partial<Chunk> = {}): State {
  const rows = more.rows ?? 1;
  const buffers = [bytes(Array(5 * rows).fill(value)), bytes([]), bytes([])];
  return reduce(state, { type: "chunk", chunk: chunk(seq, more), buffers });
}

/** The first score of every row: rows here hold one number throughout. */
function values(state: State): (number | undefined)[] {
  return state.rows.map((row) => row?.scores[0]);
}

describe("snapshots", () => {
  it("fill everything", () => {
    const state = load(EMPTY, { totals: bytes([1, 2, 3, 4, 5, 6]) });
    expect(values(state)).toEqual([0, 0]);
    expect(state.totals?.output).toEqual(Float32Array.from([3, 4]));
    expect(state).toMatchObject({ job: "job", seq: 0, stale: false, foreign: null });
  });

  it.each([null, undefined, {}, 3, "x", { protocol: 1 }])("that are %j change nothing", (value) => {
    expect(reduce(EMPTY, { type: "snapshot", snapshot: value })).toBe(EMPTY);
  });

  it("of another protocol are named, not drawn", () => {
    const state = load(EMPTY, { protocol: 99 });
    expect(state.foreign).toBe(99);
    expect(state.subject).toBeNull();
    expect(load(state).foreign).toBeNull();
  });

  it("may come without numbers", () => {
    const state = load(EMPTY, { scores: bytes([]), totals: bytes([]) });
    expect(state.rows).toEqual([null, null]);
    expect(state.totals).toBeNull();
  });

  it("of another job start anew", () => {
    const state = load(play(load(EMPTY), 1, 5), { job: "next", seq: 0 });
    expect(values(state)).toEqual([0, 0]);
    expect(state.seq).toBe(0);
  });

  it("that are older never take back newer rows", () => {
    const newer = play(load(EMPTY), 1, 5, { state: progress({ done: 3 }) });
    const state = load(newer, {
      seq: 0,
      scores: bytes([...Array(5).fill(7), ...Array(5).fill(8)]),
    });
    expect(values(state)).toEqual([5, 8]);
    expect(state.seq).toBe(1);
    expect(state.progress?.done).toBe(3);
  });

  it("never take back a job's end", () => {
    const done = load(EMPTY, { seq: 2, state: progress({ status: "done" }) });
    expect(load(done, { seq: 2 }).progress?.status).toBe("done");
  });

  it("with the same seq bring the later state", () => {
    const state = load(play(load(EMPTY), 1, 5), { seq: 1, state: progress({ status: "done" }) });
    expect(state.progress?.status).toBe("done");
  });
});

describe("chunks", () => {
  it("replace their rows and keep the identity of the others", () => {
    const before = load(EMPTY);
    const after = play(before, 1, 5, { row: 1 });
    expect(values(after)).toEqual([0, 5]);
    expect(after.rows[0]).toBe(before.rows[0]);
    expect(values(before)).toEqual([0, 0]);
  });

  it("may replace several rows, and standard errors and totals with them", () => {
    const state = reduce(load(EMPTY), {
      type: "chunk",
      chunk: chunk(1, { rows: 2 }),
      buffers: [bytes(Array(10).fill(2)), bytes(Array(10).fill(0.5)), bytes([1, 2, 3, 4, 5, 6])],
    });
    expect(values(state)).toEqual([2, 2]);
    expect(state.rows[1]?.error?.[4]).toBe(0.5);
    expect(state.totals?.gap[1]).toBe(6);
  });

  it("that are replayed change nothing", () => {
    const once = play(load(EMPTY), 1, 5);
    expect(play(once, 1, 5)).toBe(once);
    expect(play(once, 0, 9)).toBe(once);
  });

  it("of another job are ignored", () => {
    const state = load(EMPTY);
    expect(play(state, 1, 5, { job: "other" })).toBe(state);
  });

  it("beyond the last row are dropped", () => {
    expect(values(play(load(EMPTY), 1, 5, { row: 1, rows: 3 }))).toEqual([0, 5]);
    expect(values(play(load(EMPTY), 1, 5, { row: 9 }))).toEqual([0, 0]);
  });

  it("before any snapshot ask for one", () => {
    const state = play(EMPTY, 1, 5);
    expect(state.stale).toBe(true);
    expect(play(state, 2, 5)).toBe(state);
    expect(load(state, { seq: 2 }).stale).toBe(false);
  });
});

describe("holes", () => {
  it("are noticed, drawn around, and closed by a snapshot that covers them", () => {
    const holed = play(play(load(EMPTY), 1, 5), 4, 6, { row: 1 });
    expect(holed).toMatchObject({ stale: true, wanted: 3, seq: 4 });
    expect(values(holed)).toEqual([5, 6]);
    const early = load(holed, { seq: 2 });
    expect(early.stale).toBe(true);
    const state = load(early, { seq: 3, scores: bytes(Array(10).fill(1)) });
    expect(state.stale).toBe(false);
    expect(values(state)).toEqual([1, 6]);
  });

  it("stay open while later chunks come", () => {
    const state = play(play(load(EMPTY), 3, 5), 4, 6);
    expect(state).toMatchObject({ stale: true, wanted: 2 });
    expect(load(state, { seq: 4 }).stale).toBe(false);
  });

  it("take a late chunk for an old one", () => {
    const holed = play(load(EMPTY), 2, 5);
    expect(play(holed, 1, 9)).toBe(holed);
  });
});

it("comes to the same end in whatever order a job's messages are lost or repeated", () => {
  const final = Array(10).fill(9);
  const end = { seq: 5, scores: bytes(final), state: progress({ status: "done" }) };
  for (let lost = 0; lost < 32; lost++) {
    let state = load(EMPTY);
    for (let seq = 1; seq <= 5; seq++) {
      if (lost & (1 << (seq - 1))) continue;
      state = play(play(state, seq, seq, { row: seq % 2 }), seq, -1);
    }
    state = load(state, end);
    expect(values(state)).toEqual([9, 9]);
    expect(state).toMatchObject({ stale: false, seq: 5 });
    expect(state.progress?.status).toBe("done");
  }
});
