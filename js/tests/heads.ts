/** An attention browser's traits: three tokens, two layers of three heads. */

import { deflateSync } from "node:zlib";
import { codeOf } from "../src/attention/ramp";
import head from "../src/parts/attention_head";
import {
  type AttentionOverview,
  type AttentionStack,
  PROTOCOL,
  type Want,
} from "../src/protocol.gen";
import { bytes, KernelModel } from "./samples";

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

/** A kernel that hands out the view's part and answers like three tokens of a causal head. */
export class Heads extends KernelModel {
  offline = false;

  async part(): Promise<unknown> {
    return head;
  }

  override send(content: unknown): void {
    super.send(content);
    const ask = content as { type: string; view: string; id: number; wants: Want[] };
    if (ask.type !== "ask") return;
    ask.wants.forEach((want, number) => {
      const reply = { type: "answer", view: ask.view, id: ask.id, want: number, error: null };
      queueMicrotask(() =>
        this.emit("msg:custom", { ...reply, ...this.said(want) }, this.bytes(want)),
      );
    });
  }

  said({ what }: Want): { said: Record<string, string>; error?: unknown } {
    if (what === "effect")
      return { said: { target: "“ d”", unit: "log_prob", before: " d", after: " e" } };
    if (what === "split") return { said: { rest: "position bias" } };
    if (what === "parts") return { said: { names: "embedding\nlayer 0: MLP", note: "" } };
    return { said: {} };
  }

  bytes({ what, rows, cols }: Want): unknown[] {
    if (what === "row") return [bytes([0.25, 0.5, 0.25])];
    if (what === "sums") return [bytes([1, 1.5, 0.5]), bytes([1, 1, 1]), bytes([0, 0.5, 1])];
    if (what === "effect") return [bytes([-0.5, -2, 0.6, 0.3])];
    if (what === "split") return [bytes([1, -0.5]), bytes([0.25]), bytes([0.75])];
    if (what === "parts") return [bytes([0.5, 0.25]), bytes([0.125, 0.625]), bytes([0.75])];
    const cells = (rows.length - 1) * (cols.length - 1);
    return [new DataView(Uint8Array.from({ length: cells }, () => codeOf(0.5)).buffer)];
  }
}
