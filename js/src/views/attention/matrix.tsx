/**
 * One head as a matrix, or the difference of two: a row a query, a column a key.
 *
 * Drawn from tiles, the coarse ones standing in for the fine ones until these are there; panning
 * and zooming never wait.
 */

import type { JSX, TargetedKeyboardEvent, TargetedPointerEvent, TargetedWheelEvent } from "preact";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { type Axis, edgesOf, levelOf, SIDE, type Tile, tilesOf } from "../../attention/axes";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { canvasOf, difference, painted, ramp, type Scale } from "../../attention/ramp";
import { clamp } from "../../clamp";
import { css, PALETTES, type Theme } from "../../colour";
import { octets } from "../../decode";
import { panned, showing, type Window, whole, zoomed } from "../../matrix";
import type { Want } from "../../protocol.gen";
import { say } from "../../say";
import * as W from "../../words";
import { brush, fitted, useAnswers, useWidth } from "./hooks";

const NAMES = 104;
const HEADS = 72;
const TOTALS = 14;
const LEGIBLE = 13;
const DRAG = 4;
const STEP = 1.6;
const TALLEST = 620;
const HIGHEST = 30;
/** Room for the last name, which leans to the right. */
const RIGHT = 28;
const FONT = "11px system-ui, sans-serif";

export interface Cell {
  readonly query: number;
  readonly key: number;
}

/** How weights are coloured and cells pooled. */
export interface Look {
  readonly scale: Scale;
  readonly least: number;
  readonly pooling: "max" | "mean";
  readonly theme: Theme;
}

export interface MatrixProps {
  readonly board: Board;
  readonly slot: string;
  readonly stack: Stack;
  /** One head; or two, whose difference is drawn. */
  readonly heads: readonly [Ref] | readonly [Ref, Ref];
  readonly rows: Axis;
  readonly cols: Axis;
  readonly look: Look;
  readonly seen: Window;
  readonly onSeen: (seen: Window) => void;
  readonly cell: Cell | null;
  readonly onLook: (cell: Cell | null) => void;
  readonly onPick: (cell: Cell) => void;
  /** Lets go of what is pinned. */
  readonly onRelease: () => void;
  /** What each column gets in all, (piece) → sum; drawn over the columns. */
  readonly totals: Float32Array | null;
  readonly label: string;
}

export function Matrix(props: MatrixProps): JSX.Element {
  const { board, stack, heads, rows, cols, look, seen, onSeen, cell, onLook, onPick } = props;
  const size = { rows: rows.count, columns: cols.count };
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(canvas, 260);
  const narrow = width < 420;
  const left = narrow ? 64 : NAMES;
  const top = HEADS + TOTALS;
  const room = width - left - RIGHT;
  // A text against itself is a square; else each side takes the room that it has.
  const square = size.rows === size.columns;
  const cellSize = Math.min(HIGHEST, room / size.columns, TALLEST / size.rows);
  const wide = square ? cellSize * size.columns : room;
  const tall = square ? cellSize * size.rows : Math.min(TALLEST, size.rows * HIGHEST);
  const height = top + tall;
  const level = levelOf(seen, wide, tall);
  const causal = stack.causal;
  const tiles = tilesOf(seen, level, causal);
  const coarsest = levelOf(whole(size), wide, tall);
  const wants = heads.flatMap((head) =>
    tiles.map((tile) => tileWant(head, tile, rows, cols, look.pooling)),
  );
  const answers = useAnswers(board, props.slot, wants);
  const failed = answers.find((answer) => answer?.error)?.error;
  const progress = answers.find((answer) => answer?.said["progress"])?.said["progress"];
  const lut = useMemo(
    () => ramp(look.theme, look.scale, look.least),
    [look.theme, look.scale, look.least],
  );
  const held = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const [grabbed, setGrabbed] = useState(false);

  useLayoutEffect(() => {
    const context = brush(canvas.current, width, height);
    if (!context) return;
    const [w, h] = [wide / seen.width, tall / seen.height];
    const x = (key: number): number => left + (key - seen.left) * w;
    const y = (query: number): number => top + (query - seen.top) * h;
    context.save();
    context.beginPath();
    context.rect(left, top, wide, tall);
    context.clip();
    context.imageSmoothingEnabled = false;
    let drawn = false;
    for (let at = coarsest; at >= level; at--) {
      for (const tile of at === level ? tiles : tilesOf(seen, at, causal)) {
        const image = imageOf(board, props, tile, lut);
        if (image === null) continue;
        drawn = true;
        const side = 2 ** tile.level;
        const [tx, ty] = [tile.col * SIDE * side, tile.row * SIDE * side];
        const [cw, ch] = [image.width * side, image.height * side];
        context.clearRect(x(tx), y(ty), cw * w, ch * h);
        context.drawImage(image, x(tx), y(ty), cw * w, ch * h);
      }
    }
    const ink = css(PALETTES[look.theme].ink);
    context.strokeStyle = context.fillStyle = ink;
    if (cell) {
      context.globalAlpha = 0.5;
      context.lineWidth = 1;
      context.strokeRect(x(cell.key), top - 1, Math.max(w, 1), tall + 2);
      context.strokeRect(left - 1, y(cell.query), wide + 2, Math.max(h, 1));
      context.globalAlpha = 1;
      context.lineWidth = 1.5;
      context.strokeRect(
        x(cell.key) - 1,
        y(cell.query) - 1,
        Math.max(w, 3) + 2,
        Math.max(h, 3) + 2,
      );
    }
    context.restore();
    if (tiles.length > 0 && !drawn) {
      context.globalAlpha = 0.7;
      context.font = FONT;
      context.fillStyle = ink;
      context.textAlign = "center";
      context.fillText(
        failed ? say(W.NOT_TO_BE_HAD) : say(W.COMPUTING),
        left + wide / 2,
        top + tall / 2,
      );
    }
    context.globalAlpha = 0.25;
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = 1;
    context.strokeRect(left + 0.5, top + 0.5, wide - 1, tall - 1);
    drawTotals(context, props.totals, { x, w, left, wide, top: HEADS, height: TOTALS - 3 }, seen);
    context.font = FONT;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const every = Math.max(1, Math.ceil(LEGIBLE / h));
    const last = Math.min(size.rows, Math.ceil(seen.top + seen.height));
    const near = (i: number, at: number, step: number, span: number): boolean =>
      i !== at && Math.abs(i - at) * span < LEGIBLE && step > 0;
    for (let i = Math.max(0, Math.floor(seen.top)); i < last; i++) {
      const pointed = cell?.query === i;
      if ((i % every !== 0 && !pointed) || (cell && near(i, cell.query, every, h))) continue;
      context.globalAlpha = pointed ? 1 : 0.7;
      const middle = Math.max(top + 5, y(i + 0.5));
      context.fillText(fitted(context, rows.name(i), left - 10), left - 8, middle);
    }
    context.textAlign = "left";
    const apart = Math.max(1, Math.ceil(LEGIBLE / w));
    const right = Math.min(size.columns, Math.ceil(seen.left + seen.width));
    for (let i = Math.max(0, Math.floor(seen.left)); i < right; i++) {
      const pointed = cell?.key === i;
      if ((i % apart !== 0 && !pointed) || (cell && near(i, cell.key, apart, w))) continue;
      context.globalAlpha = pointed ? 1 : 0.7;
      context.save();
      context.translate(Math.max(left + 3, x(i + 0.5)), HEADS - 4);
      context.rotate(-Math.PI / 3);
      context.fillText(fitted(context, cols.name(i), HEADS + 6), 0, 0);
      context.restore();
    }
    context.globalAlpha = 1;
  });
  // Only with Ctrl (or a pinch): a reader who scrolls past must not be caught.
  const wheel = (event: TargetedWheelEvent<HTMLCanvasElement>): void => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = place(event.offsetX, event.offsetY);
    onSeen(zoomed(seen, Math.exp(-event.deltaY / 200), at.x, at.y, size));
  };

  const place = (px: number, py: number): { x: number; y: number } => ({
    x: seen.left + ((px - left) * seen.width) / wide,
    y: seen.top + ((py - top) * seen.height) / tall,
  });
  const under = (event: TargetedPointerEvent<HTMLCanvasElement>): Cell | null => {
    const { x, y } = place(event.offsetX, event.offsetY);
    const [key, query] = [Math.floor(x), Math.floor(y)];
    const inside = event.offsetX >= left && event.offsetY >= top;
    return inside && key < size.columns && query < size.rows ? { query, key } : null;
  };
  const move = (event: TargetedPointerEvent<HTMLCanvasElement>): void => {
    const grip = held.current;
    if (grip === null) {
      const next = under(event);
      if (next?.query !== cell?.query || next?.key !== cell?.key) onLook(next);
      return;
    }
    const [dx, dy] = [grip.x - event.offsetX, grip.y - event.offsetY];
    if (!grip.moved && Math.hypot(dx, dy) < DRAG) return;
    held.current = { x: event.offsetX, y: event.offsetY, moved: true };
    onSeen(panned(seen, (dx * seen.width) / wide, (dy * seen.height) / tall, size));
  };
  const zoom = (factor: number): void => {
    const x = cell ? cell.key + 0.5 : seen.left + seen.width / 2;
    const y = cell ? cell.query + 0.5 : seen.top + seen.height / 2;
    onSeen(zoomed(seen, factor, x, y, size));
  };
  const key = (event: TargetedKeyboardEvent<HTMLCanvasElement>): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = cell ?? { query: Math.ceil(seen.top), key: Math.ceil(seen.left) };
    const far = event.shiftKey ? 10 : 1;
    const to: Record<string, [number, number]> = {
      ArrowRight: [far, 0],
      ArrowLeft: [-far, 0],
      ArrowDown: [0, far],
      ArrowUp: [0, -far],
      Home: [-size.columns, 0],
      End: [size.columns, 0],
      PageUp: [0, -size.rows],
      PageDown: [0, size.rows],
    };
    const step = to[event.key];
    if (step !== undefined) {
      const next = {
        key: clamp(at.key + step[0], 0, size.columns - 1),
        query: clamp(at.query + step[1], 0, size.rows - 1),
      };
      onLook(next);
      onSeen(showing(seen, next.key, next.query, size));
    } else if (event.key === "Enter" || event.key === " ") onPick(at);
    else if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") onSeen(whole(size));
    else if (event.key === "Escape") {
      onLook(null);
      props.onRelease();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const tool = (label: string, sign: string, act: () => void): JSX.Element => (
    <button type="button" class="liw-button" aria-label={label} onClick={act}>
      {sign}
    </button>
  );
  const isWhole = seen.width === size.columns && seen.height === size.rows;
  return (
    <div class="liw-heads-matrix">
      <div class="liw-heads-box">
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys */}
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label={say(W.HEAD_KEYS, {
            name: props.label,
            queries: size.rows,
            keys: size.columns,
          })}
          data-lm-suppress-shortcuts="true"
          data-zoomed={!isWhole || undefined}
          data-grabbed={grabbed || undefined}
          data-missing={answers.filter((answer) => answer === undefined).length}
          style={{ width: `${width}px`, height: `${height}px` }}
          onPointerMove={move}
          onPointerDown={(event) => {
            held.current = { x: event.offsetX, y: event.offsetY, moved: false };
            event.currentTarget.setPointerCapture(event.pointerId);
            setGrabbed(true);
          }}
          onPointerUp={(event) => {
            const picked = held.current?.moved ? null : under(event);
            held.current = null;
            setGrabbed(false);
            if (picked) onPick(picked);
          }}
          onPointerCancel={() => {
            held.current = null;
            setGrabbed(false);
          }}
          onPointerLeave={() => held.current === null && onLook(null)}
          onKeyDown={key}
          onWheel={wheel}
        />
        <div class="liw-toolbar liw-heads-zoom">
          {tool(say(W.ZOOM_IN), "+", () => zoom(STEP))}
          {tool(say(W.ZOOM_OUT), "−", () => zoom(1 / STEP))}
          {!isWhole && tool(say(W.SHOW_ALL), say(W.ALL), () => onSeen(whole(size)))}
        </div>
      </div>
      {failed && (
        <p class="liw-heads-problem" role="alert">
          {failed.message}
        </p>
      )}
      {progress && (
        <p class="liw-muted liw-heads-small">{say(W.COMPUTING_NOW, { now: progress })}</p>
      )}
    </div>
  );
}

function tileWant(ref: Ref, tile: Tile, rows: Axis, cols: Axis, pooling: string): Want {
  return wantOf("grid", ref.head < 0 ? ref : { ...ref, how: pooling }, {
    rows: edgesOf(rows, tile.row, tile.level),
    cols: edgesOf(cols, tile.col, tile.level),
  });
}

/** A tile's bytes; images are remembered by the buffer that holds them. */
function known(board: Board, want: Want): Uint8Array | null {
  const answer = board.known(want);
  return answer === undefined ? null : octets(answer.buffers[0]);
}

type Images = WeakMap<object, { by: unknown; image: HTMLCanvasElement | null }>;
const IMAGES: Images = new WeakMap();
/** By the second buffer, which has an image of its own beside the difference. */
const GAPS: Images = new WeakMap();

/** A tile in colours, if its weights are there; each is coloured once for a ramp. */
function imageOf(
  board: Board,
  { heads, rows, cols, look }: MatrixProps,
  tile: Tile,
  lut: ReturnType<typeof ramp>,
): HTMLCanvasElement | null {
  const wants = heads.map((head) => tileWant(head, tile, rows, cols, look.pooling));
  const [first, second] = wants.map((want) => known(board, want));
  const [want] = wants;
  if (!want || !first || (heads.length > 1 && !second)) return null;
  const holder = second ?? first;
  const by = second ? `${keyOfBuffer(first)}:${look.theme}:${look.scale}:${look.least}` : lut;
  const images = second ? GAPS : IMAGES;
  const coloured = images.get(holder.buffer);
  if (coloured?.by === by) return coloured.image;
  const [height, width] = [want.rows.length - 1, want.cols.length - 1];
  const pixels = second
    ? difference(first, second, look.theme, look.scale, look.least)
    : painted(first, lut);
  const image = canvasOf(pixels, width, height);
  images.set(holder.buffer, { by, image });
  return image;
}

const NUMBERS = new WeakMap<object, number>();
let numbers = 0;

function keyOfBuffer({ buffer }: Uint8Array): number {
  const number = NUMBERS.get(buffer) ?? numbers++;
  NUMBERS.set(buffer, number);
  return number;
}

interface Strip {
  readonly x: (key: number) => number;
  readonly w: number;
  readonly left: number;
  readonly wide: number;
  readonly top: number;
  readonly height: number;
}

/** What columns get in all, as bars above them; the largest fills the strip. */
function drawTotals(
  context: CanvasRenderingContext2D,
  totals: Float32Array | null,
  { x, w, left, wide, top, height }: Strip,
  seen: Window,
): void {
  if (totals === null) return;
  const largest = totals.reduce((most, total) => Math.max(most, total), 1e-9);
  context.save();
  context.beginPath();
  context.rect(left, top, wide, height + 1);
  context.clip();
  context.globalAlpha = 0.45;
  const last = Math.min(totals.length, Math.ceil(seen.left + seen.width));
  for (let i = Math.max(0, Math.floor(seen.left)); i < last; i++) {
    const tall = ((totals[i] ?? 0) / largest) * height;
    context.fillRect(x(i), top + height - tall, Math.max(w - (w > 4 ? 1 : 0), 0.5), tall);
  }
  context.restore();
}
