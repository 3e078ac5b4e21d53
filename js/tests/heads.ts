/** An attention browser's traits: three tokens, two layers of three heads. */

import { deflateSync } from "node:zlib";
import { type AttentionOverview, type AttentionStack, PROTOCOL } from "../src/protocol.gen";
import { bytes } from "./samples";

export const NAMES = [
  "induction",
  "previous_token",
  "duplicate_token",
  "first_token",
  "entropy",
  "distance",
];

export const STACK: AttentionStack = {
  name: "self",
  title: "self-attention",
  layers: 2,
  heads: 3,
  queries: 0,
  keys: 0,
  causal: true,
  target: "",
  can: ["effect", "rollout", "split"],
  cannot: { gradient: "it needs a target" },
  facts: [{ label: "model", value: "tiny", level: "plain" }],
};

function octets(values: readonly number[]): DataView {
  return new DataView(Uint8Array.from(values).buffer);
}

export function overview({ stages = [1, 1], status = "running" } = {}): AttentionOverview {
  const packed = deflateSync(Uint8Array.from({ length: 2 * 3 * 4 }, (_, i) => 10 * i));
  const induction = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6];
  return {
    rows: 2,
    cols: 2,
    stages: octets(stages),
    pictures: new DataView(packed.buffer, packed.byteOffset, packed.byteLength),
    names: NAMES,
    scores: bytes([...induction, ...Array(30).fill(Number.NaN)]),
    status: status as AttentionOverview["status"],
  };
}

export function browserTraits(more: Record<string, unknown> = {}): Record<string, unknown> {
  const text = { tokens: ["a", " b", " c"], special: octets([1, 0, 0]), pieces: {}, labels: {} };
  const subject = {
    protocol: PROTOCOL,
    title: "tiny",
    caution: "Weights, not importance.",
    texts: [text],
    stacks: [STACK],
  };
  return {
    subject,
    overviews: [overview()],
    kept: [],
    failure: {},
    head: [0, 0],
    how: "",
    stack: "self",
    beside: [],
    mode: "matrix",
    selected: null,
    key: null,
    selected_heads: [],
    sort: "",
    least: 0,
    scale: "root",
    pieces: "token",
    ...more,
  };
}
