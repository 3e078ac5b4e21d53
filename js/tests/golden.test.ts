/** The same files that pytest compares with what the kernel packs. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Chunk, PROTOCOL } from "../src/protocol.gen";
import { EMPTY, reduce } from "../src/store";

const FOLDER = join(import.meta.dirname, "..", "..", "tests", "golden");

function json(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(FOLDER, name), "utf8")) as Record<string, unknown>;
}

function binary(name: string): DataView {
  const file = readFileSync(join(FOLDER, name));
  return new DataView(file.buffer, file.byteOffset, file.byteLength);
}

const SNAPSHOT = {
  ...json("snapshot.json"),
  scores: binary("snapshot.scores.bin"),
  totals: binary("snapshot.totals.bin"),
};
const CHUNK = json("chunk.json") as unknown as Chunk;
const BUFFERS = [0, 1, 2].map((i) => binary(`chunk.${i}.bin`));

const known = reduce(EMPTY, { type: "snapshot", snapshot: SNAPSHOT });
const later = reduce(known, { type: "chunk", chunk: CHUNK, buffers: BUFFERS });

describe("the kernel's snapshot", () => {
  it("speaks this protocol", () => {
    expect(json("snapshot.json")["protocol"]).toBe(PROTOCOL);
    expect(known.foreign).toBeNull();
  });

  it("gives every number, and NaN for what is absent", () => {
    expect(known.rows[0]?.scores).toEqual(
      Float32Array.from([1.7, 3.7, 1.2, 6.9, -3.4, Number.NaN]),
    );
    expect(known.rows[1]?.scores).toEqual(
      Float32Array.from([0.1, -0.2, 0.3, Number.NaN, 1e-7, -1e7]),
    );
    expect(known.rows[0]?.error).toBeNull();
    expect(known.totals?.base).toEqual(Float32Array.from([-16.9, -18]));
    expect(known.totals?.gap).toEqual(Float32Array.from([0.004, Number.NaN]));
  });

  it("gives the text to the letter", () => {
    const texts = known.subject?.inputs.map(({ text }) => text) ?? [];
    expect(texts.join("")).toBe(known.subject?.prompt);
    expect(texts.at(-1)).toBe("</script><img src=x onerror=alert(1)>");
  });
});

describe("the kernel's chunk", () => {
  it("replaces its row and no other", () => {
    expect(later.rows[0]).toBe(known.rows[0]);
    expect(later.rows[1]?.scores[1]).toBe(Math.fround(0.2));
    expect(later.rows[1]?.error?.[0]).toBe(Math.fround(0.1));
  });

  it("ends the job", () => {
    expect(later).toMatchObject({ seq: 3, stale: false });
    expect(later.progress).toMatchObject({ status: "done", verdict: "converged" });
  });
});
