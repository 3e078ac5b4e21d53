/** What a kernel would answer, computed from the heads that a page keeps. */

import type { Want } from "../protocol.gen";
import { type KeptHeads, type LocalHead, openHead } from "./local";
import { codeOf } from "./ramp";

/** Answers wants as the kernel does: the same buffers for the same question. */
export function answersFrom(kept: () => unknown): (want: Want) => Promise<ArrayBuffer[]> {
  return async (want) => {
    const heads = (kept() as readonly Partial<KeptHeads>[] | null)?.[want.stack];
    const { layer, head } = want;
    if (head < 0)
      throw new Error("Heads taken together are computed by a kernel; this page has none.");
    if (!heads?.parts) {
      throw new Error(`No head is in this file. ${heads?.left_out ?? ""}`.trim());
    }
    const local = await openHead(heads as KeptHeads, layer, head);
    if (local === null) {
      throw new Error(`Layer ${layer}, head ${head} was left out of this page to keep it small.`);
    }
    return answered(local, want);
  };
}

async function answered(
  local: LocalHead,
  { what, how, rows, cols, a, b }: Want,
): Promise<ArrayBuffer[]> {
  switch (what) {
    case "grid": {
      const weights = await local.grid(rows, cols, how === "mean" ? "mean" : "max");
      return [Uint8Array.from(weights, codeOf).buffer];
    }
    case "row":
      return [copied(local.row(a))];
    case "column":
      return [copied(local.column(b))];
    case "sums": {
      const { received, given, entropy } = local.sums();
      return [copied(received), copied(given), copied(entropy)];
    }
    case "top": {
      const numbers = local.top(a).flatMap(({ query, key, weight }) => [query, key, weight]);
      return [copied(Float32Array.from(numbers))];
    }
    default:
      throw new Error("This is computed from the model, which this page does not have.");
  }
}

function copied(values: Float32Array): ArrayBuffer {
  return values.slice().buffer as ArrayBuffer;
}
