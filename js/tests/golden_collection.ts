/** The collection that pytest wrote, with its buffers in place. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

const FILE = join(import.meta.dirname, "..", "..", "tests", "results", "golden_collection.json");
export const GOLDEN = JSON.parse(readFileSync(FILE, "utf8")) as {
  data: Record<string, unknown>;
  values: Record<string, (number | null)[]>;
  rows: Record<string, [string, number, ...number[]][]>;
};
const BUFFERS = ["offsets", "starts", "ends", "flags", "scores", "base_values", "output_values"];

export function goldenData(): Record<string, unknown> {
  const data = { ...GOLDEN.data };
  for (const name of BUFFERS) {
    const bytes = Uint8Array.from(atob(String(data[name])), (c) => c.charCodeAt(0));
    data[name] = new DataView(bytes.buffer);
  }
  return data;
}
