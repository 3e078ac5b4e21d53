/** The heads that pytest wrote, opened as an exported page opens them. */
// @vitest-environment node

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { isKept, type KeptHeads, type LocalHead, openHead } from "../src/attention/local";

interface Case {
  readonly name: string;
  readonly at: [number, number];
  readonly kept: Record<string, unknown>;
  readonly weights: string;
}

const FILE = join(import.meta.dirname, "..", "..", "tests", "golden_heads.json");
const CASES = JSON.parse(readFileSync(FILE, "utf8")) as Case[];
const NEAR = 5e-6;

/** Bytes as a page hands them over: a view, here at an odd offset of a larger buffer. */
function bytes(base64: unknown): DataView {
  const decoded = Buffer.from(String(base64), "base64");
  const view = new Uint8Array(decoded.length + 3);
  view.set(decoded, 3);
  return new DataView(view.buffer, 3);
}

function keptOf({ kept }: Case): KeptHeads {
  const read = (list: unknown) =>
    (list as Record<string, unknown>[]).map((one) => ({ ...one, data: bytes(one["data"]) }));
  const message: unknown = { ...kept, rules: read(kept["rules"]), parts: read(kept["parts"]) };
  return message as KeptHeads;
}

function weightsOf({ weights }: Case): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(weights, "base64")).buffer);
}

async function opened(from: Case): Promise<LocalHead> {
  const head = await openHead(keptOf(from), ...from.at);
  if (head === null) throw new Error("it is in the file");
  return head;
}

function near(found: ArrayLike<number>, wanted: ArrayLike<number>, tolerance = NEAR): void {
  expect(found.length).toBe(wanted.length);
  let off = 0;
  for (let i = 0; i < wanted.length; i++) {
    off = Math.max(off, Math.abs((found[i] as number) - (wanted[i] as number)));
  }
  expect(off).toBeLessThanOrEqual(tolerance);
}

/** Edges of about so many cells, unevenly. */
function edges(size: number): number[] {
  return [...new Set([0, 1, Math.floor(size / 3), size - 2, size])].sort((a, b) => a - b);
}

describe.each(CASES.map((one) => [`${one.name}, ${one.kept["encoding"]}`, one] as const))(
  "%s",
  (_, one) => {
    const wanted = weightsOf(one);
    const at = (query: number, key: number, keys: number) => wanted[query * keys + key] as number;

    it("gives the kernel's rows", async () => {
      const head = await opened(one);
      expect(wanted.length).toBe(head.queries * head.keys);
      for (let query = 0; query < head.queries; query++) {
        near(head.row(query), wanted.subarray(query * head.keys, (query + 1) * head.keys));
      }
    });

    it("gives the kernel's columns, whatever was asked before", async () => {
      const head = await opened(one);
      for (let key = 0; key < head.keys; key++) {
        const column = Array.from({ length: head.queries }, (_, i) => at(i, key, head.keys));
        near(head.column(key), column);
        if (key === 3) head.row(2);
      }
    });

    it("pools", async () => {
      const head = await opened(one);
      const [rows, cols] = [edges(head.queries), edges(head.keys)];
      const largest: number[] = [];
      const mean: number[] = [];
      for (let y = 0; y + 1 < rows.length; y++) {
        for (let x = 0; x + 1 < cols.length; x++) {
          let [most, sum] = [0, 0];
          for (let i = rows[y] as number; i < (rows[y + 1] as number); i++) {
            for (let j = cols[x] as number; j < (cols[x + 1] as number); j++) {
              most = Math.max(most, at(i, j, head.keys));
              sum += at(i, j, head.keys);
            }
          }
          largest.push(most);
          mean.push(sum / ((rows[y + 1] as number) - (rows[y] as number)));
        }
      }
      near(await head.grid(rows, cols, "max"), largest);
      near(await head.grid(Int32Array.from(rows), cols, "mean"), mean, 1e-4);
    });

    it("sums", async () => {
      const head = await opened(one);
      const { received, given, entropy } = head.sums();
      const [got, gave] = [new Array(head.keys).fill(0), new Array(head.queries).fill(0)];
      const nats: number[] = new Array(head.queries).fill(0);
      wanted.forEach((weight, cell) => {
        got[cell % head.keys] += weight;
        const query = Math.floor(cell / head.keys);
        gave[query] += weight;
        if (weight > 0) nats[query] = (nats[query] as number) - weight * Math.log(weight);
      });
      near(received, got, 1e-4);
      near(given, gave, 1e-4);
      near(entropy, nats, 1e-3);
    });

    it("finds the largest weights", async () => {
      const head = await opened(one);
      const found = head.top(7);
      near(
        found.map(({ weight }) => weight),
        wanted
          .slice()
          .sort((a, b) => b - a)
          .subarray(0, 7),
      );
      for (const { query, key, weight } of found) {
        expect(Math.abs(at(query, key, head.keys) - weight)).toBeLessThanOrEqual(NEAR);
      }
      expect(head.top(0)).toEqual([]);
    });
  },
);

describe("a file", () => {
  const one = CASES[1] as Case;

  it("says which heads it holds", async () => {
    const kept = keptOf(one);
    expect(isKept(kept, 0, 5)).toBe(true);
    const without = { ...kept, parts: kept.parts.slice(0, 1) };
    expect(isKept(without, 0, 5)).toBe(false);
    expect(await openHead(without, 0, 5)).toBeNull();
    expect(await openHead(kept, 9, 0)).toBeNull();
  });

  it("keeps an open head, and forgets the one that was not used for longest", async () => {
    const kept = keptOf(one);
    const layers = { ...kept, rule_of: Array.from({ length: 5 }, () => 0), parts: [] as unknown[] };
    for (let layer = 0; layer < 5; layer++) {
      layers.parts.push(...kept.parts.map((part) => ({ ...part, layer })));
    }
    const many = layers as unknown as KeptHeads;
    const first = await openHead(many, 0, 0);
    const second = await openHead(many, 0, 1);
    for (let layer = 1; layer < 5; layer++) {
      await openHead(many, layer, 0);
      expect(await openHead(many, 0, 0)).toBe(first);
      await openHead(many, layer, 4);
    }
    expect(await openHead(many, 0, 1)).not.toBe(second);
  });

  it("does not explain scores", async () => {
    expect((await opened(one)).dims(3, 1)).toBeNull();
  });

  it("rejects what is damaged, each time anew", async () => {
    const kept = keptOf(one);
    const damaged = {
      ...kept,
      parts: kept.parts.map((part) => ({ ...part, data: bytes("AAAA") })),
    };
    await expect(openHead(damaged, 0, 0)).rejects.toThrow();
    await expect(openHead(damaged, 0, 0)).rejects.toThrow();
  });
});
