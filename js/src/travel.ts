/**
 * Texts as they were before they travelled; the twin of `text/travel.py`.
 *
 * What Unicode does not allow, lone surrogates, arrives behind a mark that Unicode keeps for such
 * uses. What needs nothing undone keeps its identity.
 */

import { isBytes } from "./decode";

const MARK = "\ufdd0";
const MARKED = /\ufdd0([\ue000-\ue7ff\ufdd0])/g;
const SHIFT = 0xe000 - 0xd800;

const known = new WeakMap<object, unknown>();

export function arrived<T>(value: T): T;
export function arrived(value: unknown): unknown {
  if (typeof value === "string") {
    return value.includes(MARK)
      ? value.replace(MARKED, (_, said: string) =>
          said === MARK ? MARK : String.fromCharCode(said.charCodeAt(0) - SHIFT),
        )
      : value;
  }
  if (typeof value !== "object" || value === null || isBytes(value)) return value;
  const held = known.get(value);
  if (held !== undefined) return held;
  const pairs = Object.entries(value);
  const after = pairs.map(([key, one]): [string, unknown] => [arrived(key), arrived(one)]);
  const same = after.every(([key, one], i) => key === pairs[i]?.[0] && one === pairs[i]?.[1]);
  const found = same
    ? value
    : Array.isArray(value)
      ? after.map(([, one]) => one)
      : Object.fromEntries(after);
  known.set(value, found);
  return found;
}
