/**
 * Explanations of many texts: what came over the wire, and one row a word, a place, a group, or a
 * given number of each text.
 *
 * A text counts once in a row, with the sum of its pieces there; a mean is over the texts that
 * have the word. The same numbers as the kernel's `Collection.groups`, held to them by a test.
 */

import { floats, isBytes, wholes } from "./decode";
import { signed } from "./format";
import type { CollectionData, Fact, Subject, TokenInfo, Unit } from "./protocol.gen";
import { Z95 } from "./readings";
import { listed, say } from "./say";
import type { Row } from "./store";
import * as W from "./words";

const PLACES = 10;
const SPECIAL = 1;
const SURE = 2;

export interface Collection {
  readonly texts: readonly string[];
  readonly outputs: readonly string[];
  readonly unit: Unit;
  readonly title: string;
  readonly caution: string;
  readonly facts: readonly Fact[];
  readonly offsets: Uint32Array;
  readonly starts: Uint32Array;
  readonly ends: Uint32Array;
  readonly flags: Uint8Array;
  readonly scores: Float32Array;
  readonly base: Float32Array;
  readonly said: Float32Array;
}

/** What a row is: words, places, or groups of words, or numbers of the texts, by name. */
export interface By {
  readonly kind: "word" | "position" | "group" | "value";
  readonly groups: Readonly<Record<string, readonly (string | number | null)[]>>;
}

/** One row: what a word does in each text that has it, by rising score. */
export interface Group {
  readonly name: string;
  readonly texts: Uint32Array;
  readonly scores: Float64Array;
  readonly counts: Uint32Array;
  /** Whether a piece of it has a sure sign there. */
  readonly sure: Uint8Array;
  /** The given number of each text; none for words and places. */
  readonly values: Float64Array | null;
  /** Of these numbers' ranks with those of the scores; NaN where there is none. */
  readonly correlation: number;
  readonly mean: number;
  readonly size: number;
  /** Half the 95 % interval of `size` over texts; NaN for a single one. */
  readonly margin: number;
}

/** Null for what is no collection. */
export function decode(data: unknown): Collection | null {
  const given = data as Partial<CollectionData> | null;
  if (!given?.texts || !isBytes(given.scores)) return null;
  const { flags } = given;
  const flat = ArrayBuffer.isView(flags) ? flags : new DataView(new ArrayBuffer(0));
  return {
    texts: given.texts,
    outputs: given.outputs ?? [],
    unit: given.unit ?? "value",
    title: given.method_title ?? "",
    caution: given.caution ?? "",
    facts: given.facts ?? [],
    offsets: wholes(given.offsets),
    starts: wholes(given.starts),
    ends: wholes(given.ends),
    flags: new Uint8Array(flat.buffer, flat.byteOffset, flat.byteLength),
    scores: floats(given.scores),
    base: floats(given.base_values),
    said: floats(given.output_values),
  };
}

interface Found {
  texts: number[];
  scores: number[];
  counts: number[];
  sure: number[];
  values?: number[];
}

/** Rows with the largest mean |score| first; words of fewer than `least` texts are left out. */
export function groups(data: Collection, by: By, output: number, least: number): Group[] {
  if (by.kind === "value") return valued(data, by, output);
  const pieces = data.starts.length;
  const found = new Map<string, Found>();
  const lexicon = new Map<string, string>();
  for (const [name, words] of Object.entries(by.groups)) {
    for (const word of words) lexicon.set(String(word).trim().toLowerCase(), name);
  }
  data.texts.forEach((text, t) => {
    const [from, to] = [data.offsets[t] ?? 0, data.offsets[t + 1] ?? 0];
    const isSpecial = (i: number): boolean =>
      ((data.flags[output * pieces + i] ?? 0) & SPECIAL) !== 0;
    let features = 0;
    for (let i = from; i < to; i++) if (!isSpecial(i)) features++;
    let place = 0;
    for (let i = from; i < to; i++) {
      if (isSpecial(i)) continue;
      const tenth = Math.floor((place++ * PLACES) / features);
      const word = text.slice(data.starts[i], data.ends[i]).trim().toLowerCase();
      const score = data.scores[output * pieces + i] ?? Number.NaN;
      if (word === "" || !Number.isFinite(score)) continue;
      const name =
        by.kind === "word"
          ? word
          : by.kind === "group"
            ? lexicon.get(word)
            : say(W.TENTH, { from: 10 * tenth, to: 10 * tenth + 10 });
      if (name === undefined) continue;
      const row = found.get(name) ?? { texts: [], scores: [], counts: [], sure: [] };
      found.set(name, row);
      const sure = ((data.flags[output * pieces + i] ?? 0) & SURE) / SURE;
      const last = row.texts.length - 1;
      if (row.texts[last] === t) {
        row.scores[last] = (row.scores[last] ?? 0) + score;
        row.counts[last] = (row.counts[last] ?? 0) + 1;
        row.sure[last] = (row.sure[last] ?? 0) | sure;
      } else {
        row.texts.push(t);
        row.scores.push(score);
        row.counts.push(1);
        row.sure.push(sure);
      }
    }
  });
  const rows = [...found].filter(([, row]) => row.texts.length >= least).map(summed);
  return rows.sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1));
}

/** Every text that has the number, with the sum of all its scores; the strongest goes first. */
function valued(data: Collection, { groups }: By, output: number): Group[] {
  const pieces = data.starts.length;
  const sums = data.texts.map((_, t) => {
    let sum = 0;
    for (let i = data.offsets[t] ?? 0; i < (data.offsets[t + 1] ?? 0); i++) {
      const score = data.scores[output * pieces + i] ?? 0;
      if (!((data.flags[i] ?? 0) & SPECIAL) && Number.isFinite(score)) sum += score;
    }
    return sum;
  });
  const rows = Object.entries(groups).flatMap(([name, given]) => {
    const texts = given.flatMap((value, t) => (typeof value === "number" ? [t] : []));
    const row: Found = {
      texts,
      scores: texts.map((t) => sums[t] ?? 0),
      counts: texts.map(() => 1),
      sure: texts.map(() => 0),
      values: texts.map((t) => given[t] as number),
    };
    return texts.length > 0 ? [summed([name, row])] : [];
  });
  return rows.sort((a, b) => Math.abs(b.correlation || 0) - Math.abs(a.correlation || 0));
}

/** Places from 1; equal numbers share their middle one. */
function ranks(values: ArrayLike<number>): Float64Array {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const places = new Float64Array(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to] ?? 0] === values[order[from] ?? 0]) to++;
    for (const i of order.slice(from, to)) places[i] = (from + to + 1) / 2;
  }
  return places;
}

function correlated(some: Float64Array, other: Float64Array): number {
  const middle = (some.length + 1) / 2;
  const [a, b] = [ranks(some), ranks(other)].map((all) => all.map((place) => place - middle));
  const dot = (x = a, y = b): number => x?.reduce((sum, v, i) => sum + v * (y?.[i] ?? 0), 0) ?? 0;
  return dot() / Math.sqrt(dot(a, a) * dot(b, b));
}

function summed([name, row]: [string, Found]): Group {
  const order = row.scores.map((_, i) => i);
  order.sort((a, b) => (row.scores[a] ?? 0) - (row.scores[b] ?? 0));
  const scores = Float64Array.from(order, (i) => row.scores[i] ?? 0);
  const n = scores.length;
  const size = scores.reduce((sum, score) => sum + Math.abs(score), 0) / n;
  const values = row.values ? Float64Array.from(order, (i) => row.values?.[i] ?? 0) : null;
  const squares = scores.reduce((sum, score) => sum + (Math.abs(score) - size) ** 2, 0);
  return {
    name,
    texts: Uint32Array.from(order, (i) => row.texts[i] ?? 0),
    scores,
    counts: Uint32Array.from(order, (i) => row.counts[i] ?? 0),
    sure: Uint8Array.from(order, (i) => row.sure[i] ?? 0),
    values,
    correlation: values ? correlated(values, scores) : Number.NaN,
    mean: scores.reduce((sum, score) => sum + score, 0) / n,
    size,
    margin: n < 2 ? Number.NaN : Z95 * Math.sqrt(squares / (n - 1) / n),
  };
}

/** One text as the highlighter draws it. */
export function textOf(data: Collection, text: number): { subject: Subject; row: Row }[] {
  const [from, to] = [data.offsets[text] ?? 0, data.offsets[text + 1] ?? 0];
  const prompt = data.texts[text] ?? "";
  const pieces = data.starts.length;
  const tokens: TokenInfo[] = [];
  const kept: number[] = [];
  let end = 0;
  for (let i = from; i < to; i++) {
    const special = ((data.flags[i] ?? 0) & SPECIAL) !== 0;
    const [own, stop] = [data.starts[i] ?? 0, data.ends[i] ?? 0];
    if (special && own === stop) continue; // no part of the text
    // What stands between two pieces, as white space, is drawn with the second one.
    const start = Math.min(own, end);
    tokens.push({
      text: prompt.slice(start, stop),
      start,
      end: stop,
      special,
      role: null,
      position: kept.length,
      size: 1,
    });
    kept.push(i);
    end = Math.max(end, stop);
  }
  return data.outputs.map((name, output) => ({
    subject: {
      prompt,
      inputs: tokens,
      outputs: [{ ...EMPTY, text: name }],
      target: name,
      unit: data.unit,
      method: "",
      method_title: data.title,
      caution: "",
    },
    row: {
      scores: Float32Array.from(kept, (i) => data.scores[output * pieces + i] ?? Number.NaN),
      error: null,
      seq: 0,
    },
  }));
}

const EMPTY: TokenInfo = {
  text: "",
  start: 0,
  end: 0,
  special: false,
  role: null,
  position: 0,
  size: 1,
};

/** What the first rows do, said only of texts where it is sure. */
export function sentence(rows: readonly Group[], target: string, effect: boolean): string {
  const said = rows.slice(0, 2).map(({ name, mean, scores, sure, values, correlation }) => {
    const n = scores.length;
    if (values !== null) {
      // A correlation of nothing with nothing strays so far in one sample of twenty.
      const known = Math.abs(correlation) > Z95 / Math.sqrt(n - 1);
      const how = say(W.CORRELATION_OVER, { rho: signed(correlation), n });
      if (!known) {
        return say(W.MORE_GOES_WITH_NEITHER, {
          name,
          how,
        });
      }
      return correlation > 0
        ? say(W.MORE_GOES_WITH_HIGHER, {
            name,
            target,
            how,
          })
        : say(W.MORE_GOES_WITH_LOWER, {
            name,
            target,
            how,
          });
    }
    const way = Math.sign(mean);
    const agree = scores.reduce(
      (n, score, i) => n + (Math.sign(score) === way && sure[i] ? 1 : 0),
      0,
    );
    const texts = n === 1 ? say(W.AGREE_OF_ONE, { agree }) : say(W.AGREE_OF_N, { agree, n });
    if (!effect) return say(W.SCORED_HIGH, { name, texts });
    return way > 0
      ? say(W.PUSHED_TOWARDS, { name, target, texts })
      : say(W.PUSHED_AWAY, { name, target, texts });
  });
  return said.length === 0 ? "" : say(W.FULL_STOP, { said: listed(said, W.SEMICOLON) });
}
