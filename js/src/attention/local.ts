/**
 * Heads of an exported page, opened where there is no kernel.
 *
 * What comes in: what the export kept of a stack's heads. What goes out: any weight of any head
 * among them, and sums, pictures and largest weights of one head at a time.
 *
 * Guarantees: the weights whose error the file states (`decode` in export/heads.py, to rounding);
 * opening a head unpacks its part alone; long work lets go of the page every few milliseconds.
 */

import { octets } from "../decode";
import type { KeptHeads, KeptPart } from "../protocol.gen";
import { inflate } from "./inflate";
import { type Rows, rowsOf } from "./local_rows";
import { type Rule, ruleOf } from "./local_rule";

export type { KeptHeads };

export interface Edge {
  readonly query: number;
  readonly key: number;
  readonly weight: number;
}

export interface Sums {
  /** What each key gets. */
  readonly received: Float32Array;
  /** What each query gives: 1, less what a sink takes. */
  readonly given: Float32Array;
  /** Of each query's weights, in nats. */
  readonly entropy: Float32Array;
}

export interface LocalHead {
  readonly queries: number;
  readonly keys: number;
  /** Weights of one query on all keys. */
  row(query: number): Float32Array;
  /** Weights of all queries on one key. */
  column(key: number): Float32Array;
  /**
   * Pooled weights, row by row; cell (i, j) is from edge i to edge i + 1, and so on. "max": the
   * largest one. "mean": what the cell's average query gives to all its keys together.
   */
  grid(
    rowEdges: ArrayLike<number>,
    colEdges: ArrayLike<number>,
    pooling: "max" | "mean",
  ): Promise<Float32Array>;
  sums(): Sums;
  /** The largest weights, the largest first. */
  top(count: number): Edge[];
  /** How a score is made up; not kept in a page. */
  dims(query: number, key: number): Float32Array | null;
}

const OPEN = 8;
const PATIENCE = 10;

/** What is unpacked, most lately used last, of each stack. */
interface Shelf {
  readonly rules: Map<number, Promise<Rule>>;
  readonly heads: Map<string, Promise<LocalHead>>;
}
const shelves = new WeakMap<KeptHeads, Shelf>();

function partOf({ parts }: KeptHeads, layer: number, head: number): KeptPart | undefined {
  return parts.find(
    (part) => part.layer === layer && head >= part.head && head < part.head + part.heads,
  );
}

/** Whether a head is in the file. */
export function isKept(kept: KeptHeads, layer: number, head: number): boolean {
  return partOf(kept, layer, head) !== undefined;
}

/** A head of the file; null if it was left out. */
export async function openHead(
  kept: KeptHeads,
  layer: number,
  head: number,
): Promise<LocalHead | null> {
  const part = partOf(kept, layer, head);
  if (part === undefined) return null;
  const shelf = shelves.get(kept) ?? { rules: new Map(), heads: new Map() };
  shelves.set(kept, shelf);
  const name = `${layer}:${head}`;
  const found = shelf.heads.get(name) ?? open(kept, part, head, shelf.rules);
  shelf.heads.delete(name);
  shelf.heads.set(name, found);
  for (const oldest of shelf.heads.keys()) {
    if (shelf.heads.size <= OPEN) break;
    shelf.heads.delete(oldest);
  }
  return found;
}

async function open(
  kept: KeptHeads,
  part: KeptPart,
  head: number,
  rules: Map<number, Promise<Rule>>,
): Promise<LocalHead> {
  const at = kept.rule_of[part.layer] ?? 0;
  const rule = rules.get(at) ?? ruleOf(kept, at);
  rules.set(at, rule);
  const bytes = await inflate(octets(part.data) as Uint8Array<ArrayBuffer>);
  return localHead(rowsOf(kept, part, head - part.head, bytes, await rule));
}

/** Lets the page draw and answer. */
function breathe(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function localHead({ queries, keys, fill, cell }: Rows): LocalHead {
  const line = new Float32Array(keys);
  let summed: Sums | null = null;

  /** Call `each` with every row's weights, and the first and one past the last key it sees. */
  function walk(each: (query: number, low: number, high: number) => void): void {
    for (let query = 0; query < queries; query++) {
      const [low, high] = fill(query, line);
      each(query, low, high);
    }
  }

  return {
    queries,
    keys,
    row(query) {
      const found = new Float32Array(keys);
      if (query >= 0 && query < queries) fill(query, found);
      return found;
    },
    column: (key) => Float32Array.from({ length: queries }, (_, query) => cell(query, key, line)),
    async grid(rowEdges, colEdges, pooling) {
      const wide = colEdges.length - 1;
      const found = new Float32Array(Math.max(0, (rowEdges.length - 1) * wide));
      const edges = Int32Array.from(colEdges);
      let until = performance.now() + PATIENCE;
      for (let y = 0; y + 1 < rowEdges.length; y++) {
        const from = rowEdges[y] as number;
        const to = rowEdges[y + 1] as number;
        for (let query = from; query < to; query++) {
          const [low, high] = fill(query, line);
          pool(line, low, high, edges, found, y * wide, pooling === "max" ? 0 : 1 / (to - from));
          if (performance.now() < until) continue;
          await breathe();
          until = performance.now() + PATIENCE;
        }
      }
      return found;
    },
    sums() {
      if (summed) return summed;
      const received = new Float64Array(keys);
      const given = new Float32Array(queries);
      const entropy = new Float32Array(queries);
      walk((query, low, high) => {
        let sum = 0;
        let nats = 0;
        for (let key = low; key < high; key++) {
          const weight = line[key] as number;
          if (weight <= 0) continue;
          sum += weight;
          nats -= weight * Math.log(weight);
          received[key] = (received[key] as number) + weight;
        }
        given[query] = sum;
        entropy[query] = nats;
      });
      summed = { received: Float32Array.from(received), given, entropy };
      return summed;
    },
    top(count) {
      const best: Edge[] = [];
      if (count <= 0) return best;
      let least = 0;
      walk((query, low, high) => {
        for (let key = low; key < high; key++) {
          const weight = line[key] as number;
          if (weight <= least) continue;
          best.push({ query, key, weight });
          if (best.length < 2 * count + 64) continue;
          best.sort(larger).length = count;
          least = (best[count - 1] as Edge).weight;
        }
      });
      return best.sort(larger).slice(0, count);
    },
    dims: () => null,
  };
}

function larger(a: Edge, b: Edge): number {
  return b.weight - a.weight || a.query - b.query || a.key - b.key;
}

/** Add one row to its line of cells: the largest weight at a share of 0, else their sum × share. */
function pool(
  line: Float32Array,
  low: number,
  high: number,
  edges: Int32Array,
  found: Float32Array,
  at: number,
  share: number,
): void {
  for (let x = 0; x + 1 < edges.length; x++) {
    const end = Math.min(high, edges[x + 1] as number);
    let sum = 0;
    let most = found[at + x] as number;
    for (let key = Math.max(low, edges[x] as number); key < end; key++) {
      const weight = line[key] as number;
      sum += weight;
      if (weight > most) most = weight;
    }
    found[at + x] = share ? (found[at + x] as number) + sum * share : most;
  }
}
