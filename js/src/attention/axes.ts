/**
 * The two sides of a matrix, as tokens or as pieces of several, and the tiles that cover a part of
 * it.
 *
 * A tile is a square of 512 cells; on level n a cell covers 2ⁿ pieces of each side.
 */

import { brief, visible } from "../format";
import type { Window } from "../matrix";
import type { Text } from "./board";

export const SIDE = 512;
const NAME = 22;

export interface Axis {
  /** Where pieces begin, and where the last one ends. */
  readonly edges: Uint32Array;
  readonly count: number;
  name(piece: number): string;
  /** The piece that a token is part of. */
  pieceOf(token: number): number;
}

export function axisOf(text: Text, pieces: string): Axis {
  const total = text.tokens.length;
  const starts = startsOf(text, pieces);
  const count = starts?.length ?? total;
  const edges = new Uint32Array(count + 1);
  for (let i = 0; i < count; i++) edges[i] = starts?.[i] ?? i;
  edges[count] = total;
  return {
    edges,
    count,
    name(piece) {
      const [from, to] = [edges[piece] ?? 0, edges[piece + 1] ?? 0];
      const own = text.labels[pieces]?.[piece];
      if (own !== undefined) return own;
      const first = shown(text.tokens[from]);
      return to - from < 2 ? first : `${first} … ${shown(text.tokens[to - 1])}`;
    },
    pieceOf(token) {
      let [low, high] = [0, count - 1];
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((edges[middle] ?? 0) <= token) low = middle;
        else high = middle - 1;
      }
      return low;
    },
  };
}

/** Windows are as many as a screen has room for: about 64. */
function startsOf(text: Text, pieces: string): Uint32Array | null {
  if (pieces !== "window") return text.pieces[pieces] ?? null;
  const size = windowSize(text.tokens.length);
  return Uint32Array.from({ length: Math.ceil(text.tokens.length / size) }, (_, i) => i * size);
}

export function windowSize(tokens: number): number {
  return 2 ** Math.max(1, Math.ceil(Math.log2(tokens / 64)));
}

/** A token's text where white space must be seen, and no longer than a label. */
export function shown(token = ""): string {
  return brief(visible(token.trim() === "" ? token : token.trim()), NAME);
}

export interface Tile {
  readonly level: number;
  readonly row: number;
  readonly col: number;
}

/** The level on which a cell is about a pixel. */
export function levelOf(seen: Window, width: number, height: number): number {
  const perPixel = Math.max(seen.width / width, seen.height / height);
  return Math.max(0, Math.round(Math.log2(perPixel)));
}

/** Tiles of a level that cover a window, nearest to its middle first; not those that are empty. */
export function tilesOf(seen: Window, level: number, causal: boolean): Tile[] {
  const size = SIDE * 2 ** level;
  const tiles: Tile[] = [];
  for (let row = Math.floor(seen.top / size); row * size < seen.top + seen.height; row++) {
    for (let col = Math.floor(seen.left / size); col * size < seen.left + seen.width; col++) {
      if (!causal || col <= row) tiles.push({ level, row, col });
    }
  }
  const [x, y] = [seen.left + seen.width / 2, seen.top + seen.height / 2];
  const far = ({ row, col }: Tile): number =>
    Math.hypot((row + 0.5) * size - y, (col + 0.5) * size - x);
  return tiles.sort((a, b) => far(a) - far(b));
}

/** The edges of a tile's cells, in tokens. */
export function edgesOf(axis: Axis, tile: number, level: number): number[] {
  const step = 2 ** level;
  const [from, to] = [tile * SIDE * step, Math.min(axis.count, (tile + 1) * SIDE * step)];
  const edges: number[] = [];
  for (let piece = from; piece < to; piece += step) edges.push(axis.edges[piece] ?? 0);
  edges.push(axis.edges[to] ?? 0);
  return edges;
}
