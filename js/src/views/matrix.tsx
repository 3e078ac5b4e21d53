/** The whole matrix: a row for each output, a column for each input; drawn on a canvas. */

import type { JSX, TargetedKeyboardEvent, TargetedPointerEvent, TargetedWheelEvent } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import { css, PALETTES, type Theme } from "../colour";
import { brief, visible } from "../format";
import {
  largestOf,
  panned,
  pixels,
  type Size,
  showing,
  type Window,
  whole,
  zoomed,
} from "../matrix";
import type { Subject } from "../protocol.gen";
import { say } from "../say";
import type { Row } from "../store";
import * as W from "../words";

const NAMES = 96;
const HEADS = 64;
const ROW = 18;
const TALLEST = 420;
const LEGIBLE = 11;
const DRAG = 4;
const STEP = 1.5;
const FONT = "11px system-ui, sans-serif";

export interface Cell {
  readonly output: number;
  readonly input: number;
}

interface Props {
  readonly subject: Subject;
  readonly rows: readonly (Row | null)[];
  readonly theme: Theme;
  /** Rows that are explained now. */
  readonly from: number;
  readonly count: number;
  /** The column pointed at or pinned. */
  readonly column: number | null;
  readonly onLook: (cell: Cell | null) => void;
  readonly onPick: (cell: Cell) => void;
}

export function Matrix(props: Props): JSX.Element {
  const { subject, rows, theme, from, onLook, onPick } = props;
  const size: Size = { columns: subject.inputs.length, rows: subject.outputs.length };
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(640);
  const [seen, setSeen] = useState<Window>(whole(size));
  const [cell, setCell] = useState<Cell | null>(null);
  const held = useRef<{ x: number; y: number; moved: boolean } | null>(null);
  const height = HEADS + Math.min(TALLEST, size.rows * ROW);
  const image = useMemo(() => raster(rows, size, theme), [rows, size.columns, size.rows, theme]);

  useEffect(() => {
    const box = canvas.current?.parentElement;
    if (!box) return undefined;
    const observer = new ResizeObserver(() => setWidth(Math.max(240, box.clientWidth - 6)));
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current) draw(canvas.current, { ...props, image, seen, cell, width, height });
  });
  // Only with Ctrl (or a pinch): a reader who scrolls past must not be caught.
  const wheel = (event: TargetedWheelEvent<HTMLCanvasElement>): void => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const at = place(event.offsetX, event.offsetY, seen, width, height);
    setSeen(zoomed(seen, Math.exp(-event.deltaY / 200), at.x, at.y, size));
  };
  const look = (next: Cell | null): void => {
    setCell(next);
    onLook(next);
  };
  const under = (event: TargetedPointerEvent<HTMLCanvasElement>): Cell | null => {
    const { x, y } = place(event.offsetX, event.offsetY, seen, width, height);
    const [input, output] = [Math.floor(x), Math.floor(y)];
    const inside = event.offsetX >= NAMES && event.offsetY >= HEADS;
    return inside && input < size.columns && output < size.rows ? { output, input } : null;
  };
  const move = (event: TargetedPointerEvent<HTMLCanvasElement>): void => {
    const grip = held.current;
    if (grip === null) {
      look(under(event));
      return;
    }
    const [dx, dy] = [grip.x - event.offsetX, grip.y - event.offsetY];
    if (!grip.moved && Math.hypot(dx, dy) < DRAG) return;
    held.current = { x: event.offsetX, y: event.offsetY, moved: true };
    setSeen(
      panned(
        seen,
        (dx * seen.width) / (width - NAMES),
        (dy * seen.height) / (height - HEADS),
        size,
      ),
    );
  };
  const key = (event: TargetedKeyboardEvent<HTMLCanvasElement>): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = cell ?? { output: from, input: 0 };
    const to: Record<string, [number, number]> = {
      ArrowRight: [1, 0],
      ArrowLeft: [-1, 0],
      ArrowDown: [0, 1],
      ArrowUp: [0, -1],
      Home: [-size.columns, 0],
      End: [size.columns, 0],
    };
    const step = to[event.key];
    if (step !== undefined) {
      const input = clamp(at.input + step[0], 0, size.columns - 1);
      const output = clamp(at.output + step[1], 0, size.rows - 1);
      look({ output, input });
      setSeen(showing(seen, input, output, size));
    } else if (event.key === "Enter" || event.key === " ") onPick(at);
    else if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "Escape") look(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const zoom = (factor: number): void => {
    const x = cell ? cell.input + 0.5 : seen.left + seen.width / 2;
    const y = cell ? cell.output + 0.5 : seen.top + seen.height / 2;
    setSeen(zoomed(seen, factor, x, y, size));
  };
  const tool = (label: string, sign: string, factor: number): JSX.Element => (
    <button type="button" class="liw-button" aria-label={label} onClick={() => zoom(factor)}>
      {sign}
    </button>
  );
  const isWhole = seen.width === size.columns && seen.height === size.rows;
  return (
    <div class="liw-matrix">
      <div class="liw-matrix-box">
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys */}
        <canvas
          ref={canvas}
          tabIndex={0}
          role="application"
          aria-label={say(W.MATRIX_KEYS, { outputs: size.rows, inputs: size.columns })}
          data-lm-suppress-shortcuts="true"
          data-zoomed={!isWhole || undefined}
          style={{ width: `${width}px`, height: `${height}px` }}
          onPointerMove={move}
          onPointerDown={(event) => {
            held.current = { x: event.offsetX, y: event.offsetY, moved: false };
            event.currentTarget.setPointerCapture(event.pointerId);
          }}
          onPointerUp={(event) => {
            const picked = held.current?.moved ? null : under(event);
            held.current = null;
            if (picked) onPick(picked);
          }}
          onPointerLeave={() => held.current === null && look(null)}
          onBlur={() => look(null)}
          onKeyDown={key}
          onWheel={wheel}
        />
      </div>
      <div class="liw-under">
        <p class="liw-legend">{say(W.MATRIX_MOUSE)}</p>
        <div class="liw-toolbar">
          {tool(say(W.ZOOM_IN), "+", STEP)}
          {tool(say(W.ZOOM_OUT), "−", 1 / STEP)}
        </div>
      </div>
    </div>
  );
}

/** A point of the canvas in cells. */
function place(x: number, y: number, seen: Window, width: number, height: number) {
  return {
    x: seen.left + ((x - NAMES) * seen.width) / (width - NAMES),
    y: seen.top + ((y - HEADS) * seen.height) / (height - HEADS),
  };
}

/** The matrix as an image of one pixel a cell; null where there is no canvas. */
export function raster(
  rows: readonly (Row | null)[],
  { columns }: Size,
  theme: Theme,
): HTMLCanvasElement | null {
  const image = document.createElement("canvas");
  image.width = columns;
  image.height = rows.length;
  const context = image.getContext("2d");
  if (!context || columns * rows.length === 0) return null;
  const data = new ImageData(pixels(rows, columns, largestOf(rows), theme), columns, rows.length);
  context.putImageData(data, 0, 0);
  return image;
}

interface Picture extends Props {
  readonly image: HTMLCanvasElement | null;
  readonly seen: Window;
  readonly cell: Cell | null;
  readonly width: number;
  readonly height: number;
}

function draw(canvas: HTMLCanvasElement, picture: Picture): void {
  const { subject, image, seen, cell, width, height, theme, from, count, column } = picture;
  const context = canvas.getContext("2d");
  if (!context) return;
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const ink = css(PALETTES[theme].ink);
  const [w, h] = [(width - NAMES) / seen.width, (height - HEADS) / seen.height];
  const x = (input: number): number => NAMES + (input - seen.left) * w;
  const y = (output: number): number => HEADS + (output - seen.top) * h;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.fillStyle = context.strokeStyle = ink;
  context.font = FONT;

  context.save();
  context.beginPath();
  context.rect(NAMES, HEADS, width - NAMES, height - HEADS);
  context.clip();
  context.imageSmoothingEnabled = false;
  if (image) {
    context.drawImage(
      image,
      seen.left,
      seen.top,
      seen.width,
      seen.height,
      NAMES,
      HEADS,
      width - NAMES,
      height - HEADS,
    );
  }
  context.globalAlpha = 0.9;
  context.lineWidth = 1.5;
  context.strokeRect(NAMES + 0.75, y(from) + 0.75, width - NAMES - 1.5, h * count - 1.5);
  if (column !== null) {
    context.lineWidth = 1;
    context.strokeRect(x(column) - 0.5, HEADS, w + 1, height - HEADS);
  }
  if (cell) {
    context.lineWidth = 2;
    context.strokeRect(x(cell.input), y(cell.output), w, h);
  }
  context.restore();

  const shown = (output: number): boolean => output >= from && output < from + count;
  context.textBaseline = "middle";
  context.textAlign = "right";
  const every = Math.max(1, Math.ceil(LEGIBLE / h));
  const last = Math.min(subject.outputs.length, Math.ceil(seen.top + seen.height));
  for (let output = Math.floor(seen.top); output < last; output++) {
    const middle = y(output + 0.5);
    const pointed = cell?.output === output;
    if (middle < HEADS || (output % every !== 0 && !pointed)) continue;
    context.globalAlpha = shown(output) || pointed ? 1 : 0.66;
    context.fillText(cut(subject.outputs[output]?.text), NAMES - 8, middle, NAMES - 8);
  }
  context.textAlign = "left";
  const right = Math.min(subject.inputs.length, Math.ceil(seen.left + seen.width));
  for (let input = Math.floor(seen.left); input < right; input++) {
    const pointed = input === (cell?.input ?? column);
    const centre = x(input + 0.5);
    if (centre < NAMES || (w < LEGIBLE && !pointed)) continue;
    context.globalAlpha = pointed ? 1 : 0.66;
    context.save();
    context.translate(centre, HEADS - 6);
    context.rotate(-Math.PI / 3);
    context.fillText(cut(subject.inputs[input]?.text), 0, 0, HEADS);
    context.restore();
  }
  context.globalAlpha = 1;
}

function cut(text = ""): string {
  return brief(visible(text.trim() === "" ? text : text.trim()), 14);
}
