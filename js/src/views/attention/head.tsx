/** The head that is open: as matrix, lines or text, beside another one, or split. */

import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Axis, axisOf, windowSize } from "../../attention/axes";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { FAINTEST, gradient, SCALES, type Scale } from "../../attention/ramp";
import { clamp } from "../../clamp";
import type { Theme } from "../../colour";
import { floats } from "../../decode";
import { showing, type Window, whole } from "../../matrix";
import { say } from "../../say";
import * as W from "../../words";
import { Fold } from "../fold";
import { asIndex } from "../frame";
import { besideOf, Compare } from "./compare";
import { Choice } from "./controls";
import { Effect } from "./effect";
import { useAnswers } from "./hooks";
import { Largest } from "./largest";
import { Lines } from "./lines";
import { type Cell, type Look, Matrix, type MatrixProps } from "./matrix";
import { nameOf } from "./names";
import { Readout } from "./readout";
import { Search } from "./search";
import { HeadText } from "./text";
import { Why } from "./why";

const MODES = [
  ["matrix", W.MATRIX],
  ["lines", W.LINES],
  ["text", W.TEXT_MODE],
  ["compare", W.COMPARE],
  ["why", W.WHY_HERE],
] as const;

interface Props {
  readonly board: Board;
  readonly stacks: readonly Stack[];
  readonly stack: Stack;
  readonly head: Ref;
  readonly theme: Theme;
  readonly scale: Scale;
  readonly pinned: boolean;
  readonly onPin: () => void;
  /** The choice between this head and heads taken together. */
  readonly children: ComponentChildren;
}

export function Head(props: Props): JSX.Element {
  const { board, stacks, stack, head, theme, scale, children } = props;
  const [least, setLeast] = useState(0);
  const [pooling, setPooling] = useState<Look["pooling"]>("max");
  const look: Look = useMemo(
    () => ({ scale, least, pooling, theme }),
    [scale, least, pooling, theme],
  );
  const pieces = String(board.get("pieces") ?? "token");
  const rows = useMemo(() => axisOf(stack.queries, pieces), [stack, pieces]);
  const cols = useMemo(() => axisOf(stack.keys, pieces), [stack, pieces]);
  const size = { rows: rows.count, columns: cols.count };
  const [window, setSeen] = useState<{ of: string; seen: Window }>();
  const of = `${pieces}:${size.rows}:${size.columns}`;
  const seen = window?.of === of ? window.seen : whole(size);
  const see = (next: Window): void => setSeen({ of, seen: next });
  const [cell, setCell] = useState<Cell | null>(null);
  const one = head.head >= 0;
  const mode = String(board.get("mode") ?? "matrix");
  const [query, key] = [asIndex(board.get("selected")), asIndex(board.get("key"))];
  const pinned: Cell | null =
    query === null && key === null
      ? null
      : {
          query: query === null ? -1 : rows.pieceOf(query),
          key: key === null ? -1 : cols.pieceOf(key),
        };
  // A text that shows nothing until it is touched says nothing: it begins with its last token.
  const last: Cell | null = mode === "text" ? { query: rows.count - 1, key: -1 } : null;
  const at = cell ?? pinned ?? last;
  const pick = (next: Cell): void => {
    const same = pinned?.query === next.query && pinned?.key === next.key;
    const token = (axis: Axis, piece: number): number | null =>
      same || piece < 0 ? null : (axis.edges[piece] ?? null);
    board.set({ selected: token(rows, next.query), key: token(cols, next.key) });
  };
  const release = (): void => board.set({ selected: null, key: null });
  const [sums] = useAnswers(board, "sums", one ? [wantOf("sums", head)] : []);
  const received = useMemo(() => floats(sums?.buffers[0]), [sums]);
  const totals = useMemo(() => pieceTotals(received, cols), [received, cols]);
  const shared = { board, stack, rows, cols, look };
  const matrix: Omit<MatrixProps, "heads" | "slot" | "label" | "totals"> = {
    ...shared,
    seen,
    onSeen: see,
    cell: at && at.query >= 0 && at.key >= 0 ? at : null,
    onLook: setCell,
    onPick: pick,
    onRelease: release,
  };
  const beside = besideOf(board, stacks, stack, head);
  const alike = beside?.stack.queries.tokens.length === stack.queries.tokens.length;
  const second = mode === "compare" && alike && beside ? beside.ref : null;
  return (
    <section class="liw-heads-open" aria-label={nameOf(head)}>
      <div class="liw-heads-title">
        <h3>{nameOf(head)}</h3>
        <div class="liw-toolbar">
          {children}
          {one && (
            <button
              type="button"
              class="liw-button"
              aria-pressed={props.pinned}
              onClick={props.onPin}
            >
              {say(W.PIN)}
            </button>
          )}
        </div>
      </div>
      {one && <Effect key={nameOf(head)} board={board} stack={stack} head={head} />}
      <div class="liw-heads-controls">
        <div class="liw-heads-tabs" role="tablist" aria-label={say(W.HOW_THE_HEAD_IS_SHOWN)}>
          {MODES.map(([name, words]) => (
            <button
              key={name}
              type="button"
              role="tab"
              class="liw-button"
              aria-selected={mode === name}
              onClick={() => board.set({ mode: name })}
            >
              {say(words)}
            </button>
          ))}
        </div>
        <Search
          stack={stack}
          from={() => asIndex(board.get("selected"))}
          onFind={(token) => {
            const cellOf = rows.pieceOf(token);
            const column = stack.queries === stack.keys ? cols.pieceOf(token) : 0;
            see(showing(seen, column, cellOf, size));
            board.set({ selected: token });
          }}
        />
      </div>
      <Readout
        {...shared}
        head={head}
        second={second}
        at={at}
        sums={sums}
        pieces={pieces}
        hint={
          mode === "text" || mode === "lines" ? say(W.POINT_TO_SEE_WHERE) : say(W.POINT_AT_A_PLACE)
        }
      />
      {mode === "matrix" && (
        <Matrix {...matrix} slot="matrix" heads={[head]} totals={totals} label={nameOf(head)} />
      )}
      {mode === "lines" && (
        <Lines
          {...shared}
          head={head}
          query={at && at.query >= 0 ? at.query : null}
          onLook={setCell}
          onPick={pick}
          onRelease={release}
        />
      )}
      {mode === "text" && (
        <HeadText
          {...shared}
          head={head}
          pieces={pieces}
          cell={at}
          onLook={setCell}
          onPick={pick}
          onRelease={release}
        />
      )}
      {mode === "compare" && <Compare {...matrix} stacks={stacks} head={head} beside={beside} />}
      {mode === "why" && (
        <Why
          board={board}
          stack={stack}
          head={head}
          query={query}
          key_={key}
          names={[
            stack.queries.tokens[query ?? 0]?.trim() ?? "",
            stack.keys.tokens[key ?? 0]?.trim() ?? "",
          ]}
        />
      )}
      {mode !== "why" && (
        <div class="liw-toolbar liw-heads-under">
          <Legend scale={scale} mode={mode} theme={theme} />
          <label class="liw-heads-choice">
            {say(W.HIDE_BELOW)}
            <input
              type="number"
              min="0"
              max="1"
              step="0.01"
              value={least}
              onChange={({ currentTarget }) =>
                setLeast(clamp(currentTarget.valueAsNumber || 0, 0, 1))
              }
            />
          </label>
          <Choice
            label={say(W.TAKE_TOGETHER)}
            value={pieces}
            options={piecesOf(stack)}
            onChoose={(name) => board.set({ pieces: name })}
          />
          {(mode === "matrix" || mode === "compare") && one && (
            <Choice
              label={say(W.A_CELL_SHOWS)}
              value={pooling}
              options={[
                ["max", say(W.ITS_LARGEST_WEIGHT)],
                ["mean", say(W.AVERAGE_OF_QUERIES)],
              ]}
              onChoose={(name) => setPooling(name as Look["pooling"])}
            />
          )}
        </div>
      )}
      {one && (
        <div class="liw-folds">
          <Fold title={say(W.LARGEST_WEIGHTS)}>
            <Largest board={board} stack={stack} head={head} />
          </Fold>
        </div>
      )}
    </section>
  );
}

function piecesOf({ queries }: Stack): [string, string][] {
  const named: [string, string][] = [["token", say(W.NOTHING)]];
  const { sentence, role } = queries.pieces;
  if (sentence) named.push(["sentence", say(W.SENTENCES)]);
  if (role) named.push(["role", say(W.TURNS_OF_THE_CHAT)]);
  if (queries.tokens.length > 8) {
    named.push(["window", say(W.WINDOWS_OF_N_TOKENS, { n: windowSize(queries.tokens.length) })]);
  }
  return named;
}

/** Sums of what each piece receives. */
function pieceTotals(received: Float32Array, { edges, count }: Axis): Float32Array | null {
  if (received.length === 0) return null;
  return Float32Array.from({ length: count }, (_, i) =>
    received.subarray(edges[i], edges[i + 1]).reduce((sum, one) => sum + one, 0),
  );
}

interface LegendProps {
  readonly scale: Scale;
  readonly mode: string;
  readonly theme: Theme;
}

function Legend({ scale, mode, theme }: LegendProps): JSX.Element {
  const least = scale === "log" ? `≤ ${FAINTEST}` : "0";
  return (
    <span class="liw-heads-legend">
      <span>{least}</span>
      <span class="liw-heads-ramp" style={{ background: gradient(theme) }} aria-hidden="true" />
      <span>{say(W.LEGEND_SCALE, { scale: say(SCALES[scale]) })}</span>
      {mode === "text" && <span>{say(W.ORANGE_ATTENDS_TO_IT)}</span>}
    </span>
  );
}
