/**
 * One head as lines: who attends on the left, to whom on the right, thicker for larger weights.
 *
 * A long text scrolls; lines are drawn for the queries that are on screen, and to keys that are
 * not they leave through the edge.
 */

import type { JSX, TargetedKeyboardEvent } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Axis } from "../../attention/axes";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { FAINTEST, strength, WEIGHTS } from "../../attention/ramp";
import { clamp } from "../../clamp";
import { css, PALETTES } from "../../colour";
import { octets } from "../../decode";
import { say } from "../../say";
import * as W from "../../words";
import { brush, fitted, useAnswers, useWidth } from "./hooks";
import type { Cell, Look } from "./matrix";

const ROW = 19;
const TALLEST = 480;
/** Lines of each query while none is looked at, and of the one that is. */
const FEW = 4;
const MANY = 200;
const BLOCK = 64;
const FONT = "12px system-ui, sans-serif";

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly look: Look;
  /** The query looked at; its lines only. */
  readonly query: number | null;
  readonly onLook: (cell: Cell | null) => void;
  readonly onPick: (cell: Cell) => void;
  readonly onRelease: () => void;
}

export function Lines(props: Props): JSX.Element {
  const { board, head, rows, cols, look, query, onLook, onPick } = props;
  const canvas = useRef<HTMLCanvasElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const width = useWidth(canvas, 260);
  const [top, setTop] = useState(0);
  const side = Math.min(150, width * 0.3);
  const total = Math.max(rows.count, cols.count);
  const height = Math.min(TALLEST, total * ROW + 8);
  const first = Math.floor(top / ROW / BLOCK) * BLOCK;
  const last = Math.min(rows.count, Math.ceil((top + height) / ROW / BLOCK) * BLOCK);
  const queries = range(Math.min(first, last), last);
  const edges = (axis: Axis, from: number, to: number): number[] =>
    range(from, to + 1).map((i) => axis.edges[i] ?? 0);
  const how = head.head < 0 ? head.how : "mean";
  const wants =
    queries.length > 0
      ? [
          wantOf(
            "grid",
            { ...head, how },
            {
              rows: edges(rows, queries[0] ?? 0, last),
              cols: edges(cols, 0, cols.count),
            },
          ),
        ]
      : [];
  const [answer] = useAnswers(board, "lines", wants);
  const bytes = answer?.buffers[0];
  const codes = bytes === undefined ? null : octets(bytes);

  useLayoutEffect(() => {
    const context = brush(canvas.current, width, height);
    if (!context) return;
    const palette = PALETTES[look.theme];
    context.font = FONT;
    context.textBaseline = "middle";
    const y = (i: number): number => i * ROW + ROW / 2 + 4 - top;
    if (codes) {
      context.strokeStyle = css(palette.lowers);
      for (const { at, key, weight } of largest(codes, cols.count, queries, query, look.least)) {
        const t = strength(weight, look.scale);
        if (t <= 0) continue;
        context.globalAlpha = 0.12 + 0.88 * t;
        context.lineWidth = 0.6 + 4 * t;
        context.beginPath();
        const [x0, x1] = [side + 6, width - side - 6];
        context.moveTo(x0, y(at));
        context.bezierCurveTo((x0 + x1) / 2, y(at), (x0 + x1) / 2, y(key), x1, y(key));
        context.stroke();
      }
    }
    context.fillStyle = css(palette.ink);
    const visible = range(Math.floor(top / ROW), Math.ceil((top + height) / ROW) + 1);
    for (const [axis, x, align] of [
      [rows, side, "right"],
      [cols, width - side, "left"],
    ] as const) {
      context.textAlign = align;
      for (const i of visible) {
        if (i >= axis.count) break;
        const pointed = axis === rows && i === query;
        context.globalAlpha = query === null || axis === cols || pointed ? 0.9 : 0.45;
        context.font = pointed ? `600 ${FONT}` : FONT;
        context.fillText(fitted(context, axis.name(i), side - 4), x, y(i));
      }
    }
    context.globalAlpha = 1;
  });
  // What was chosen by key, search or in Python is scrolled to; what is pointed at is in view.
  useEffect(() => {
    const box = scroller.current;
    if (!box || query === null) return;
    const [above, below] = [query * ROW, (query + 1) * ROW + 8 - height];
    if (box.scrollTop > above || box.scrollTop < below) {
      box.scrollTop = box.scrollTop > above ? above : below;
    }
  }, [query, height]);
  const queryAt = (offsetY: number): number | null => {
    const at = Math.floor((offsetY + top - 4) / ROW);
    return at >= 0 && at < rows.count ? at : null;
  };
  const key = (event: TargetedKeyboardEvent<HTMLElement>): void => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      const next = clamp((query ?? Math.floor(top / ROW)) + step, 0, rows.count - 1);
      onLook({ query: next, key: -1 });
    } else if (event.key === "Enter" && query !== null) onPick({ query, key: -1 });
    else if (event.key === "Escape") {
      onLook(null);
      props.onRelease();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div>
      <div class="liw-heads-ends liw-muted" aria-hidden="true">
        <span style={{ width: `${side}px`, textAlign: "end" }}>{say(W.ATTENDS)}</span>
        <span style={{ width: `${side}px` }}>{say(W.IS_ATTENDED_TO)}</span>
      </div>
      <div
        class="liw-heads-scroll"
        ref={scroller}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and takes keys
        tabIndex={0}
        role="application"
        aria-label={say(W.LINES_KEYS, {
          rows: rows.count,
          keys: cols.count,
        })}
        data-lm-suppress-shortcuts="true"
        style={{ height: `${height}px` }}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
        onKeyDown={key}
      >
        <div style={{ height: `${total * ROW + 8}px` }}>
          <canvas
            ref={canvas}
            style={{ width: `${width}px`, height: `${height}px` }}
            onPointerMove={(event) => {
              const at = queryAt(event.offsetY);
              if (at !== query) onLook(at === null ? null : { query: at, key: -1 });
            }}
            onPointerLeave={() => onLook(null)}
            onClick={(event) => {
              const at = queryAt(event.offsetY);
              if (at !== null) onPick({ query: at, key: -1 });
            }}
          />
        </div>
      </div>
      {answer?.error && (
        <p class="liw-heads-problem" role="alert">
          {answer.error.message}
        </p>
      )}
    </div>
  );
}

interface Line {
  readonly at: number;
  readonly key: number;
  readonly weight: number;
}

/** Lines of one query, or the few largest of each, the faintest first: strong ones are drawn last. */
function largest(
  codes: Uint8Array,
  wide: number,
  queries: readonly number[],
  only: number | null,
  least: number,
): Line[] {
  return queries
    .flatMap((at, row) => {
      if (only !== null && only !== at) return [];
      const lines: Line[] = [];
      for (let key = 0; key < wide; key++) {
        const weight = WEIGHTS[codes[row * wide + key] ?? 0] ?? 0;
        if (weight > FAINTEST && weight >= least) lines.push({ at, key, weight });
      }
      return lines.sort((a, b) => b.weight - a.weight).slice(0, only === null ? FEW : MANY);
    })
    .sort((a, b) => a.weight - b.weight);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
