/** Dots on a canvas: drawn once, and only the marks on them again. */

import type { JSX, TargetedKeyboardEvent } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import type { Collection, Group } from "../collection";
import { css, over, PALETTES, type Rgb, type Theme } from "../colour";
import { magnitude, signed, unitName } from "../format";
import { say } from "../say";
import { type Dots, dotAt, reachOf, swarm } from "../swarm";
import { ticks } from "../waterfall";
import * as W from "../words";

export const ROW = 34;
export const NAMES = 132;
const TOP = 26;
const RIGHT = 12;
const RADIUS = 2.4;
const STEP = 5;
const ROOM = ROW / 2 - 4;
const REACH = 7;
const LABEL = 46;
const FONT = "12px system-ui, sans-serif";

interface Props {
  readonly data: Collection;
  readonly rows: readonly Group[];
  readonly output: number;
  readonly theme: Theme;
  readonly target: string;
  readonly colourBy: ColourBy;
  readonly selected: number | null;
  readonly onSelect: (text: number | null) => void;
}

/** What a dot's colour tells: what the model says, how often, or the given number. */
export type ColourBy = "output" | "count" | "value";

interface Place {
  readonly row: number;
  readonly dot: number;
}

export function Swarm(props: Props): JSX.Element {
  const { data, rows, theme, selected, onSelect } = props;
  const base = useRef<HTMLCanvasElement>(null);
  const marks = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(640);
  const [pointed, setAt] = useState<Place | null>(null);
  const at = pointed && rows[pointed.row]?.texts[pointed.dot] !== undefined ? pointed : null;
  const height = TOP + rows.length * ROW + 6;
  const reach = useMemo(() => reachOf(rows), [rows]);
  const x = scale(reach, width);
  const dots = useMemo(
    () => rows.map(({ scores }) => swarm(scores, scale(reach, width), STEP, ROOM)),
    [rows, reach, width],
  );
  useEffect(() => {
    const box = base.current?.parentElement;
    if (!box) return undefined;
    const observer = new ResizeObserver(() => setWidth(Math.max(300, box.clientWidth)));
    observer.observe(box);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    const context = base.current && prepared(base.current, width, height);
    if (context) draw(context, { ...props, width, height, x, reach, dots });
  }, [data, rows, props.output, theme, props.colourBy, width, dots]);
  useEffect(() => {
    const context = marks.current && prepared(marks.current, width, height);
    if (context) mark(context, { ...props, dots, at });
  }, [rows, theme, selected, at, width, dots]);

  const under = (px: number, py: number): Place | null => {
    const row = Math.floor((py - TOP) / ROW);
    const own = dots[row];
    if (!own) return null;
    const dot = dotAt(own, px, py - TOP - (row + 0.5) * ROW, REACH);
    return dot < 0 ? null : { row, dot };
  };
  const key = (event: TargetedKeyboardEvent<HTMLCanvasElement>): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const { row, dot } = at ?? { row: 0, dot: 0 };
    const size = rows[row]?.scores.length ?? 1;
    const go: Record<string, () => Place> = {
      ArrowRight: () => ({ row, dot: at ? Math.min(size - 1, dot + 1) : 0 }),
      ArrowLeft: () => ({ row, dot: Math.max(0, dot - 1) }),
      ArrowDown: () => across(row + 1),
      ArrowUp: () => across(row - 1),
      Home: () => ({ row, dot: 0 }),
      End: () => ({ row, dot: size - 1 }),
    };
    /** The dot of another row that is nearest in x. */
    const across = (to: number): Place => {
      const next = clamp(to, 0, rows.length - 1);
      const from = dots[row]?.x[dot] ?? 0;
      const own = dots[next]?.x ?? new Float32Array();
      let nearest = 0;
      own.forEach((value, i) => {
        if (Math.abs(value - from) < Math.abs((own[nearest] ?? 0) - from)) nearest = i;
      });
      return { row: next, dot: nearest };
    };
    const move = go[event.key];
    if (move) setAt(move());
    else if (event.key === "Enter" || event.key === " ") onSelect(textAt(rows, at));
    else if (event.key === "Escape") {
      setAt(null);
      onSelect(null);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="liw-bee">
      <div class="liw-bee-box" style={{ height: `${height}px` }}>
        <canvas ref={base} style={{ height: `${height}px` }} />
        {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys */}
        <canvas
          ref={marks}
          tabIndex={0}
          role="application"
          aria-label={say(W.DOTS_KEYS, {
            n: rows.length,
          })}
          data-lm-suppress-shortcuts="true"
          style={{ height: `${height}px` }}
          onPointerMove={(event) => {
            const next = under(event.offsetX, event.offsetY);
            if (next?.row !== at?.row || next?.dot !== at?.dot) setAt(next);
          }}
          onPointerLeave={() => setAt(null)}
          onClick={(event) => {
            const text = textAt(rows, under(event.offsetX, event.offsetY));
            onSelect(text === selected ? null : text);
          }}
          onKeyDown={key}
          onBlur={() => setAt(null)}
        />
      </div>
      {at && <Tip {...props} at={at} dots={dots} width={width} />}
      <p class="liw-pinned liw-hidden" aria-live="polite">
        {at && spoken(at, props)}
      </p>
    </div>
  );
}

function scale([low, high]: readonly [number, number], width: number): (score: number) => number {
  const [from, to] = [NAMES + 8, width - RIGHT];
  return (score) => from + ((score - low) * (to - from)) / (high - low);
}

function textAt(rows: readonly Group[], at: Place | null): number | null {
  return at === null ? null : (rows[at.row]?.texts[at.dot] ?? null);
}

const EXCERPT = 110;
const GAP = 9;

/** The values of a dot, beside it: never beyond the width of the picture. */
function Tip(props: Marks & { readonly at: Place; readonly width: number }): JSX.Element {
  const { at, dots, width } = props;
  const [x = 0, y = 0] = [dots[at.row]?.x[at.dot], dots[at.row]?.y[at.dot]];
  const top = TOP + (at.row + 0.5) * ROW + y + GAP;
  const [where, score, said] = words(at, props);
  return (
    <div
      class="liw-tip"
      aria-hidden="true"
      style={{ left: `${x}px`, top: `${top}px`, transform: `translateX(${(-100 * x) / width}%)` }}
    >
      <div class="liw-tip-head">
        <bdi>{where}</bdi>
        <b>{score}</b>
      </div>
      <div class="liw-tip-note">
        {said}
        <br />
        <bdi>{excerpt(at, props)}</bdi>
      </div>
    </div>
  );
}

function words({ row, dot }: Place, { rows, data, output, target }: Props): string[] {
  const group = rows[row];
  const text = group?.texts[dot] ?? 0;
  const value = group?.values?.[dot];
  const count = group?.counts[dot] ?? 1;
  const unit = unitName(data.unit);
  const place = { name: group?.name ?? "", n: text + 1 };
  const said = number(saidOf(data, output)[text]);
  return [
    value !== undefined
      ? say(W.NAMED_VALUE_IN_TEXT, {
          ...place,
          value: Number.isInteger(value) ? value : number(value),
        })
      : count > 1
        ? say(W.NAMED_TIMES_IN_TEXT, { ...place, count })
        : say(W.NAMED_IN_TEXT, place),
    `${signed(group?.scores[dot] ?? Number.NaN)} ${unit}`,
    say(W.OUTPUT_FOR, { target, said, unit }),
  ];
}

/** The same, for a screen reader. */
function spoken(at: Place, props: Props): string {
  const [where, score, said] = words(at, props);
  return `${where}: ${score}; ${said}. ${excerpt(at, props)}`;
}

function excerpt({ row, dot }: Place, { rows, data }: Props): string {
  const said = [...(data.texts[rows[row]?.texts[dot] ?? 0] ?? "").slice(0, 2 * EXCERPT)];
  const shown = said.slice(0, EXCERPT).join("").replace(/\s+/g, " ");
  return said.length > EXCERPT ? `${shown}…` : shown;
}

export function number(value = Number.NaN): string {
  return `${value < 0 ? "−" : ""}${magnitude(value)}`;
}

function prepared(canvas: HTMLCanvasElement, width: number, height: number) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide) canvas.width = wide; // a new size is a new buffer: not on every move
  if (canvas.height !== high) canvas.height = high;
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  context?.clearRect(0, 0, width, height);
  return context;
}

interface Drawing extends Props {
  readonly width: number;
  readonly height: number;
  readonly x: (score: number) => number;
  readonly reach: readonly [number, number];
  readonly dots: readonly Dots[];
}

function draw(context: CanvasRenderingContext2D, drawing: Drawing): void {
  const { data, rows, output, theme, colourBy, width, height, x, reach, dots } = drawing;
  const { ink } = PALETTES[theme];
  context.font = FONT;
  context.textBaseline = "middle";
  const all = ticks(...reach);
  const apart = x(all[1] ?? 0) - x(all[0] ?? 0);
  const every = apart > 0 ? Math.ceil(LABEL / apart) : 1;
  const zero = Math.max(0, all.indexOf(0));
  all.forEach((tick, i) => {
    context.globalAlpha = tick === 0 ? 0.6 : 0.14;
    context.fillStyle = css(ink);
    context.fillRect(Math.round(x(tick)), TOP - 4, 1, height - TOP);
    context.globalAlpha = 0.7;
    context.textAlign = "center";
    if ((i - zero) % every !== 0) return;
    const half = context.measureText(signed(tick)).width / 2;
    context.fillText(signed(tick), Math.min(x(tick), width - half - 1), 10);
  });
  const colour = colours(data, output, theme, colourBy);
  rows.forEach((group, row) => {
    const { name, texts } = group;
    const middle = TOP + (row + 0.5) * ROW;
    context.globalAlpha = 1;
    context.fillStyle = css(ink);
    context.textAlign = "right";
    const letters = [...name];
    const short = letters.length > 20 ? `${letters.slice(0, 19).join("")}…` : name;
    context.fillText(short, NAMES, middle, NAMES - 4);
    context.globalAlpha = 0.08;
    context.fillRect(NAMES + 8, middle, width - NAMES - 8, 1);
    context.globalAlpha = 0.85;
    const own = dots[row];
    const hue = colour(group);
    texts.forEach((_, i) => {
      context.fillStyle = hue(i);
      context.beginPath();
      context.arc(own?.x[i] ?? 0, middle + (own?.y[i] ?? 0), RADIUS, 0, 7);
      context.fill();
    });
  });
}

/** What the model says of each text. */
export function saidOf(data: Collection, output: number): Float32Array {
  const count = data.texts.length;
  return data.said.subarray(output * count, (output + 1) * count);
}

/** A scale of colour around the middle one of these numbers, as far as the furthest. */
export function scaleOf(values: Float32Array | Float64Array): { middle: number; limit: number } {
  const order = values.slice().sort();
  const middle = order[Math.floor(order.length / 2)] ?? 0;
  const limit = Math.max(middle - (order[0] ?? 0), (order.at(-1) ?? 0) - middle);
  return { middle, limit };
}

/** Colours of a row's dots. */
export function colours(
  data: Collection,
  output: number,
  theme: Theme,
  by: ColourBy,
): (group: Group) => (dot: number) => string {
  const palette = PALETTES[theme];
  const grey = over(palette.ink, 0.35, palette.paper);
  const cache = new Map<number, string>();
  const kept = (key: number, make: () => Rgb): string => {
    const known = cache.get(key) ?? css(make());
    cache.set(key, known);
    return known;
  };
  const around = (values: Float32Array | Float64Array): ((i: number) => string) => {
    const { middle, limit } = scaleOf(values);
    return (i) => {
      const t = Math.round((20 * ((values[i] ?? middle) - middle)) / (limit || 1)) / 20;
      const hue = t < 0 ? palette.lowers : palette.raises;
      return kept(t, () => over(hue, Math.min(1, 0.15 + 0.85 * Math.abs(t)), grey));
    };
  };
  if (by === "count") {
    return ({ counts }) =>
      (i) => {
        const step = Math.min(counts[i] ?? 1, 3);
        return kept(step, () => over(palette.ink, 0.2 + 0.25 * step, palette.paper));
      };
  }
  if (by === "value") return ({ values }) => around(values ?? new Float64Array());
  const said = around(saidOf(data, output));
  return ({ texts }) =>
    (i) =>
      said(texts[i] ?? 0);
}

interface Marks extends Props {
  readonly dots: readonly Dots[];
  readonly at: Place | null;
}

/** A ring around every dot of the chosen text, and one around the dot pointed at. */
function mark(context: CanvasRenderingContext2D, { rows, dots, theme, selected, at }: Marks): void {
  context.strokeStyle = css(PALETTES[theme].ink);
  const ring = (row: number, dot: number, radius: number, line: number): void => {
    const own = dots[row];
    context.lineWidth = line;
    context.beginPath();
    context.arc(own?.x[dot] ?? 0, TOP + (row + 0.5) * ROW + (own?.y[dot] ?? 0), radius, 0, 7);
    context.stroke();
  };
  if (selected !== null) {
    rows.forEach(({ texts }, row) => {
      const dot = texts.indexOf(selected);
      if (dot >= 0) ring(row, dot, RADIUS + 2, 2);
    });
  }
  if (at) ring(at.row, at.dot, RADIUS + 3.5, 1.5);
}
