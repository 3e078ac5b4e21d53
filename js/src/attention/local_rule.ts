/** What decides a kept head's weights, besides its scores. */

import { octets } from "../decode";
import type { KeptHeads, KeptRule } from "../protocol.gen";
import { inflate } from "./inflate";

export interface Rule {
  /** A query sees keys from `first` up to `stop` … */
  readonly first: Uint32Array;
  readonly stop: Uint32Array;
  /** … but for holes: bits, query by query. */
  readonly seen: Uint8Array | null;
  /** Where each query's cells start; the last one is its sink, if there are sinks. */
  readonly starts: Uint32Array;
  /** By head, or one for all; at key - query + queries - 1. */
  readonly bias: readonly Float32Array[];
  readonly sinks: Float32Array | null;
  readonly softcap: number | null;
}

export async function ruleOf(
  { rules, queries, keys, heads }: KeptHeads,
  at: number,
): Promise<Rule> {
  const rule = rules[at] as KeptRule;
  const raw = (await inflate(octets(rule.data) as Uint8Array<ArrayBuffer>)).buffer;
  let from = 0;
  const take = (count: number): number => {
    const start = from;
    from += 4 * count;
    return start;
  };
  const first = new Uint32Array(raw, take(queries), queries);
  const stop = new Uint32Array(raw, take(queries), queries);
  const wide = queries + keys - 1;
  const bias = Array.from({ length: rule.biases }, () => new Float32Array(raw, take(wide), wide));
  const sinks = rule.sinks ? new Float32Array(raw, take(heads), heads) : null;
  const starts = new Uint32Array(queries + 1);
  for (let i = 0; i < queries; i++) {
    const cells = (stop[i] as number) - (first[i] as number) + Number(rule.sinks);
    starts[i + 1] = (starts[i] as number) + cells;
  }
  const seen = rule.seen ? new Uint8Array(raw, from) : null;
  return { first, stop, seen, starts, bias, sinks, softcap: rule.softcap };
}
