/** Weights of one kept head, row by row. */

import type { KeptHeads, KeptPart } from "../protocol.gen";
import type { Rule } from "./local_rule";

export interface Rows {
  readonly queries: number;
  readonly keys: number;
  /** Write a query's weights; what it does not see is left as it is outside of the two returned. */
  fill(query: number, into: Float32Array): readonly [low: number, high: number];
  /** One weight; `spare` is written over. */
  cell(query: number, key: number, spare: Float32Array): number;
}

const NONE = 1e-6;
const MOST = 2;

export function rowsOf(
  kept: KeptHeads,
  part: KeptPart,
  head: number,
  bytes: Uint8Array,
  rule: Rule,
): Rows {
  return kept.encoding === "tables"
    ? table(kept, part, head, bytes, rule)
    : rough(kept, part, head, bytes, rule);
}

function table(
  { queries, keys, levels }: KeptHeads,
  part: KeptPart,
  head: number,
  bytes: Uint8Array,
  { first, stop, starts }: Rule,
): Rows {
  const cells = starts[queries] as number;
  const high = bytes.subarray(head * cells);
  const low = bytes.subarray((part.heads + head) * cells);
  const weight = (at: number): number =>
    (256 * (high[at] as number) + (low[at] as number)) / levels;
  return {
    queries,
    keys,
    fill(query, into) {
      const from = first[query] as number;
      const to = stop[query] as number;
      const at = (starts[query] as number) - from;
      for (let key = from; key < to; key++) into[key] = weight(at + key);
      return [from, to];
    },
    cell(query, key) {
      const from = first[query] as number;
      return key < from || key >= (stop[query] as number)
        ? 0
        : weight((starts[query] as number) + key - from);
    },
  };
}

function rough(
  { queries, keys, levels }: KeptHeads,
  part: KeptPart,
  head: number,
  bytes: Uint8Array,
  rule: Rule,
): Rows {
  const { first, stop, starts, seen, softcap } = rule;
  const { q, k, rank, said, bounds, steps } = unpacked(part, head, bytes, queries, keys, starts);
  const bias = rule.bias[rule.bias.length > 1 ? part.head + head : 0];
  const sink = rule.sinks?.[part.head + head];
  // The largest score of a row and the sum of exp above it; what a cell that is not corrected
  // gets of its weight.
  const tops = new Float64Array(queries);
  const sums = new Float64Array(queries);
  const shares = new Float64Array(queries).fill(-1);

  const open = (query: number, key: number): boolean => {
    const bit = query * keys + key;
    return seen === null || (((seen[bit >> 3] as number) >> (7 - (bit & 7))) & 1) === 1;
  };

  function shaped(score: number, query: number, key: number): number {
    const capped = softcap === null ? score : softcap * Math.tanh(score / softcap);
    return bias ? capped + (bias[key - query + queries - 1] as number) : capped;
  }

  const found = new Float64Array(keys);
  const factors = new Float64Array(rank + 4);
  const places = new Int32Array(rank + 4);

  /** Four dimensions at a time: a quarter of the reading and writing. */
  function scores(query: number, low: number, high: number): void {
    let used = 0;
    for (let r = 0; r < rank; r++) {
      const factor = q[r * queries + query] as number;
      if (factor === 0) continue;
      factors[used] = factor;
      places[used++] = r * keys;
    }
    factors.fill(0, used, used + 3);
    found.fill(0, low, high);
    for (let r = 0; r < used; r += 4) {
      const [f0, f1, f2, f3] = factors.subarray(r) as unknown as [number, number, number, number];
      const [p0, p1, p2, p3] = places.subarray(r) as unknown as [number, number, number, number];
      for (let key = low; key < high; key++) {
        found[key] =
          (found[key] as number) +
          f0 * (k[p0 + key] as number) +
          f1 * (k[p1 + key] as number) +
          f2 * (k[p2 + key] as number) +
          f3 * (k[p3 + key] as number);
      }
    }
    if (softcap !== null || bias) {
      for (let key = low; key < high; key++) {
        found[key] = shaped(found[key] as number, query, key);
      }
    }
  }

  function corrected(guess: number, at: number): number {
    const weight = guess + (steps[at] as number) / levels;
    return weight > 1 + 1 / levels ? weight - 256 / levels : weight;
  }

  function fill(query: number, into: Float32Array): readonly [number, number] {
    const low = first[query] as number;
    const high = stop[query] as number;
    scores(query, low, high);
    let top = sink ?? Number.NEGATIVE_INFINITY;
    for (let key = low; key < high; key++) {
      const score = found[key] as number;
      if (score > top && open(query, key)) top = score;
    }
    let sum = sink === undefined ? 0 : Math.exp(sink - top);
    for (let key = low; key < high; key++) {
      const weight = open(query, key) ? Math.exp((found[key] as number) - top) : 0;
      into[key] = weight;
      sum += weight;
    }
    tops[query] = top;
    sums[query] = sum;
    if (sum === 0) {
      shares[query] = 0;
      return [low, high];
    }
    const scale = 1 / sum;
    const from = bounds[query] as number;
    const to = bounds[query + 1] as number;
    // What is said, and how much of the rough weights stands in its cells.
    let kept = 0;
    let base = 1;
    const start = (starts[query] as number) - low;
    for (let at = from; at < to; at++) {
      const key = (said[at] as number) - start;
      const guess = (key === high ? Math.exp((sink ?? 0) - top) : (into[key] as number)) * scale;
      kept += corrected(guess, at);
      base -= guess;
    }
    const share = base > NONE ? Math.min(MOST, Math.max(0, 1 - kept) / base) : 0;
    shares[query] = share;
    // Corrected cells wait as -1 - weight while the others get their share.
    for (let at = from; at < to; at++) {
      const key = (said[at] as number) - start;
      if (key < high) into[key] = -1 - clamp(corrected((into[key] as number) * scale, at));
    }
    const factor = scale * share;
    for (let key = low; key < high; key++) {
      const weight = into[key] as number;
      into[key] = weight < 0 ? -1 - weight : weight * factor;
    }
    return [low, high];
  }

  return {
    queries,
    keys,
    fill,
    cell(query, key, spare) {
      const low = first[query] as number;
      if (key < low || key >= (stop[query] as number) || !open(query, key)) return 0;
      if ((shares[query] as number) < 0) fill(query, spare);
      let score = 0;
      for (let r = 0; r < rank; r++) {
        score += (q[r * queries + query] as number) * (k[r * keys + key] as number);
      }
      const guess =
        Math.exp(shaped(score, query, key) - (tops[query] as number)) / (sums[query] as number);
      const place = (starts[query] as number) + key - low;
      let from = bounds[query] as number;
      let to = bounds[query + 1] as number;
      while (from < to) {
        const middle = (from + to) >> 1;
        if ((said[middle] as number) < place) from = middle + 1;
        else to = middle;
      }
      const isSaid = from < (bounds[query + 1] as number) && said[from] === place;
      return isSaid ? clamp(corrected(guess, from)) : guess * (shares[query] as number);
    },
  };
}

function clamp(weight: number): number {
  return Math.min(1, Math.max(0, weight));
}

/** The arrays of one head of a part; see `KeptPart` in wire.py. */
function unpacked(
  { rank, heads }: KeptPart,
  head: number,
  bytes: Uint8Array,
  queries: number,
  keys: number,
  starts: Uint32Array,
) {
  const sigma = new Float32Array(bytes.buffer, 0, rank);
  const counts = new Uint32Array(bytes.buffer, 4 * rank, 2 * heads);
  let from = 4 * rank + 8 * heads;
  const wide = bytes.subarray(from, from + rank);
  from += rank;
  const q = new Float32Array(rank * queries);
  const k = new Float32Array(rank * keys);
  const both = heads * queries + keys;
  for (let r = 0; r < rank; r++) {
    const scale = sigma[r] as number;
    const isWide = (wide[r] as number) > 0;
    const start = from;
    const number = (at: number): number => {
      const low = bytes[start + at] as number;
      return isWide
        ? (((bytes[start + both + at] as number) << 24) >> 16) + low
        : (low << 24) >> 24;
    };
    for (let i = 0; i < queries; i++) q[r * queries + i] = number(head * queries + i) * scale;
    for (let i = 0; i < keys; i++) k[r * keys + i] = number(heads * queries + i);
    from += isWide ? 2 * both : both;
  }
  let gaps = 0; // before this head's, and of all heads
  let all = 0;
  let past = 0; // steps before this head's
  for (let h = 0; h < heads; h++) {
    all += counts[2 * h] as number;
    if (h >= head) continue;
    gaps += counts[2 * h] as number;
    past += counts[2 * h + 1] as number;
  }
  const count = counts[2 * head + 1] as number;
  const steps = bytes.subarray(from + all + past, from + all + past + count);
  const said = new Uint32Array(count);
  const bounds = new Uint32Array(queries + 1);
  const end = from + gaps + (counts[2 * head] as number);
  let place = -1;
  let found = 0;
  let query = 0;
  for (let at = from + gaps; at < end; at++) {
    const gap = bytes[at] as number;
    place += gap;
    if (gap === 255) continue;
    place += 1;
    while (place >= (starts[query + 1] as number)) bounds[++query] = found;
    said[found++] = place;
  }
  while (query < queries) bounds[++query] = found;
  return { q, k, rank, said, bounds, steps };
}
