/** The head that is open: as matrix, lines or text, beside another one, or split. */

import type { ComponentChildren, JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type Axis, axisOf, windowSize } from "../../attention/axes";
import { type Answer, type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { FAINTEST, SCALES, type Scale } from "../../attention/ramp";
import type { Theme } from "../../colour";
import { floats } from "../../decode";
import { magnitude, percent, signed } from "../../format";
import { showing, type Window, whole } from "../../matrix";
import { asIndex } from "../frame";
import { Choice, type Pin } from "./controls";
import { useAnswers } from "./hooks";
import { Lines } from "./lines";
import { type Cell, type Look, Matrix, type MatrixProps } from "./matrix";
import { HeadText } from "./text";
import { Why } from "./why";

const MODES = [
  ["matrix", "Matrix"],
  ["lines", "Lines"],
  ["text", "Text"],
  ["compare", "Compare"],
  ["why", "Why here"],
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
  const at = cell ?? pinned;
  const pick = (next: Cell): void => {
    const same = pinned?.query === next.query && pinned?.key === next.key;
    const token = (axis: Axis, piece: number): number | null =>
      same || piece < 0 ? null : (axis.edges[piece] ?? null);
    board.set({ selected: token(rows, next.query), key: token(cols, next.key) });
  };
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
  };
  const beside = besideOf(board, stacks, stack, head);
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
              Pin
            </button>
          )}
        </div>
      </div>
      {one && <Effect key={nameOf(head)} board={board} stack={stack} head={head} />}
      <div class="liw-heads-controls">
        <div class="liw-heads-tabs" role="tablist" aria-label="How the head is shown">
          {MODES.map(([name, words]) => (
            <button
              key={name}
              type="button"
              role="tab"
              class="liw-button"
              aria-selected={mode === name}
              onClick={() => board.set({ mode: name })}
            >
              {words}
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
      <Readout {...shared} head={head} at={at} sums={sums} pieces={pieces} />
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
          <Legend scale={scale} mode={mode} />
          <label class="liw-heads-choice">
            hide below
            <input
              type="number"
              min="0"
              max="1"
              step="0.01"
              value={least}
              onChange={({ currentTarget }) =>
                setLeast(Math.max(0, Math.min(1, currentTarget.valueAsNumber || 0)))
              }
            />
          </label>
          <Choice
            label="Take together"
            value={pieces}
            options={piecesOf(stack)}
            onChoose={(name) => board.set({ pieces: name })}
          />
          {(mode === "matrix" || mode === "compare") && one && (
            <Choice
              label="A cell shows"
              value={pooling}
              options={[
                ["max", "its largest weight"],
                ["mean", "what its queries give it on average"],
              ]}
              onChoose={(name) => setPooling(name as Look["pooling"])}
            />
          )}
        </div>
      )}
    </section>
  );
}

function nameOf({ layer, head, how }: Ref): string {
  if (head >= 0) return `Layer ${layer}, head ${head}`;
  const what: Record<string, string> = {
    mean: "mean of",
    max: "largest of",
    rollout: "rollout over",
    value: "weight × value norm,",
    gradient: "weight × gradient,",
  };
  return `${layer < 0 ? "All layers" : `Layer ${layer}`}: ${what[how] ?? ""} all heads`;
}

function piecesOf({ queries }: Stack): [string, string][] {
  const named: [string, string][] = [["token", "nothing"]];
  const { sentence, role } = queries.pieces;
  if (sentence) named.push(["sentence", "sentences"]);
  if (role) named.push(["role", "turns of the chat"]);
  if (queries.tokens.length > 8) {
    named.push(["window", `windows of ${windowSize(queries.tokens.length)} tokens`]);
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

interface ReadoutProps {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly at: Cell | null;
  readonly sums: Answer | undefined;
  readonly pieces: string;
}

/** The two tokens under the crosshair and the exact weight; one line high, whatever it says. */
function Readout({ board, stack, head, rows, cols, at, sums, pieces }: ReadoutProps): JSX.Element {
  const single = pieces === "token" && at !== null && at.query >= 0;
  const [answer] = useAnswers(board, "row", single ? [wantOf("row", head, { a: at.query })] : []);
  const row = floats(answer?.buffers[0]);
  const [received, given, entropy] = [0, 1, 2].map((i) => floats(sums?.buffers[i]));
  const words = (text: string): string => `“${text}”`;
  if (at === null) {
    return (
      <p class="liw-pinned liw-muted">
        <span>Point at a place for its tokens and weight; click or Enter pins it.</span>
      </p>
    );
  }
  if (at.query < 0) {
    const got = received?.[cols.edges[at.key] ?? 0];
    return (
      <p class="liw-pinned">
        <bdi>{words(cols.name(at.key))}</bdi>
        <span class="liw-muted">
          {got === undefined ? "" : `gets ${magnitude(got)} of all queries together`}
        </span>
      </p>
    );
  }
  const query = words(rows.name(at.query));
  if (at.key < 0) {
    const best = [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0)).slice(0, 3);
    const said = best.map((i) => `${words(cols.name(i))} ${magnitude(row[i] ?? 0)}`).join(", ");
    return (
      <p class="liw-pinned">
        <bdi>{query}</bdi>
        <span class="liw-muted">{said && `attends most to ${said}`}</span>
      </p>
    );
  }
  const weight = row[at.key];
  const more = [
    weight === undefined ? "" : `weight ${magnitude(weight)}`,
    given?.[at.query] === undefined || !single
      ? ""
      : `row sums to ${magnitude(given[at.query] ?? 0)}`,
    entropy?.[at.query] === undefined || !single
      ? ""
      : `entropy ${magnitude(entropy[at.query] ?? 0)} nats`,
    received?.[at.key] === undefined || !single
      ? ""
      : `key gets ${magnitude(received[at.key] ?? 0)} in all`,
  ].filter((part) => part !== "");
  return (
    <p class="liw-pinned">
      <span>
        <bdi>{query}</bdi> → <bdi>{words(cols.name(at.key))}</bdi>
      </span>
      <span class="liw-muted">
        {stack.causal && at.key > at.query ? "comes later and cannot be seen" : more.join(" · ")}
      </span>
    </p>
  );
}

/** One click to what a head does: the target's value with it and without. */
function Effect({ board, stack, head }: Pick<Props, "board" | "stack" | "head">): JSX.Element {
  const [asked, setAsked] = useState(false);
  const [answer] = useAnswers(board, "effect", asked ? [wantOf("effect", head)] : []);
  const why = stack.cannot["effect"] ?? (board.live ? "" : "it needs the model");
  if (why) {
    return <p class="liw-muted liw-heads-small">{`Its effect is not to be had here: ${why}`}</p>;
  }
  const [before, after, topBefore, topAfter] = floats(answer?.buffers[0]);
  const said = answer?.said;
  return (
    <p class="liw-heads-effect">
      <button type="button" class="liw-button" disabled={asked} onClick={() => setAsked(true)}>
        Switch it off
      </button>
      <span role="status">
        {answer?.error && <span class="liw-heads-problem">{answer.error.message}</span>}
        {asked && !answer?.buffers.length && !answer?.error && (said?.["progress"] ?? "…")}
        {before !== undefined && after !== undefined && (
          <>
            <b>{`${signed(after - before)} ${UNITS[said?.["unit"] ?? ""] ?? said?.["unit"]}`}</b>
            {` of ${said?.["target"]}: ${signed(before)} with it, ${signed(after)} without. `}
            {said?.["before"] !== undefined && (
              <span class="liw-muted">
                {`Likeliest: ${likely(said["before"], topBefore)}, without it ${likely(said["after"], topAfter)}.`}
              </span>
            )}
          </>
        )}
      </span>
    </p>
  );
}

function likely(text = "", probability = Number.NaN): string {
  return `“${text.trim()}” (${percent(probability)})`;
}

const UNITS: Readonly<Record<string, string>> = {
  log_prob: "log-probability",
  prob: "probability",
};

interface SearchProps {
  readonly stack: Stack;
  /** Where the search goes on from, at that moment. */
  readonly from: () => number | null;
  readonly onFind: (token: number) => void;
}

/** Finds tokens by their text; Enter goes from one to the next. */
function Search({ stack, from, onFind }: SearchProps): JSX.Element {
  const [text, setText] = useState("");
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    if (wanted === "") return [];
    return stack.queries.tokens.flatMap((token, i) =>
      token.toLowerCase().includes(wanted) ? [i] : [],
    );
  }, [stack, text]);
  const place = found.indexOf(from() ?? -1);
  return (
    <span class="liw-heads-choice">
      <label class="liw-heads-choice">
        Find
        <input
          type="search"
          size={10}
          value={text}
          data-lm-suppress-shortcuts="true"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            const next = found.find((i) => i > (from() ?? -1)) ?? found[0];
            if (next !== undefined) onFind(next);
            event.preventDefault();
            event.stopPropagation();
          }}
        />
      </label>
      <span class="liw-muted" role="status">
        {text === ""
          ? ""
          : place < 0
            ? `${found.length} tokens`
            : `${place + 1} of ${found.length}`}
      </span>
    </span>
  );
}

function Legend({ scale, mode }: { scale: Scale; mode: string }): JSX.Element {
  const least = scale === "log" ? `≤ ${FAINTEST}` : "0";
  return (
    <span class="liw-heads-legend">
      <span>{least}</span>
      <span class="liw-heads-ramp" aria-hidden="true" />
      <span>{`1 of a query’s attention, ${SCALES[scale]}`}</span>
      {mode === "text" && <span>· orange: attends to it</span>}
    </span>
  );
}

interface Beside {
  readonly ref: Ref;
  readonly stack: Stack;
}

function besideOf(board: Board, stacks: readonly Stack[], stack: Stack, head: Ref): Beside | null {
  const [layer, number, name] = (board.get("beside") ?? []) as unknown as Pin;
  if (layer === undefined || number === undefined) return null;
  const other = stacks.find((one) => one.name === (name ?? stacks[0]?.name)) ?? stack;
  return { ref: { ...head, stack: other.index, layer, head: number, how: "" }, stack: other };
}

type CompareProps = Omit<MatrixProps, "heads" | "slot" | "label" | "totals"> & {
  readonly stacks: readonly Stack[];
  readonly head: Ref;
  readonly beside: Beside | null;
};

/** Two heads, or one head on two texts, and their difference. */
function Compare({ stacks, head, beside, ...matrix }: CompareProps): JSX.Element {
  const { board, stack, rows, cols } = matrix;
  const first = stacks[0]?.name ?? "";
  const choose = (name: string, layer: number, number: number): void =>
    board.set({ beside: name === first ? [layer, number] : [layer, number, name] });
  const chosen = beside?.ref ?? head;
  const other = beside?.stack ?? stack;
  const numbers = (count: number): [string, string][] =>
    Array.from({ length: count }, (_, i) => [String(i), String(i)]);
  const pieces = String(board.get("pieces") ?? "token");
  const [rows2, cols2] = [axisOf(other.queries, pieces), axisOf(other.keys, pieces)];
  const alike = rows2.count === rows.count && cols2.count === cols.count;
  const of2 = `${other.name}:${pieces}`;
  const [window2, setWindow2] = useState<{ of: string; seen: Window }>();
  const seen2 =
    window2?.of === of2 ? window2.seen : whole({ rows: rows2.count, columns: cols2.count });
  const [cell2, setCell2] = useState<Cell | null>(null);
  // Places of another text are places of its own: they say nothing of the first one's.
  const own: Pick<MatrixProps, "seen" | "onSeen" | "cell" | "onLook" | "onPick"> = {
    seen: seen2,
    onSeen: (seen) => setWindow2({ of: of2, seen }),
    cell: cell2,
    onLook: setCell2,
    onPick: () => {},
  };
  return (
    <>
      <div class="liw-toolbar">
        <span class="liw-muted">with</span>
        {stacks.length > 1 && (
          <Choice
            label="Text or stack"
            value={other.name}
            options={stacks.map(({ name, title }) => [name, title])}
            onChoose={(name) => choose(name, Math.max(0, head.layer), Math.max(0, head.head))}
          />
        )}
        <Choice
          label="layer"
          value={String(chosen.layer)}
          options={numbers(other.layers)}
          onChoose={(value) => choose(other.name, Number(value), Math.max(0, chosen.head))}
        />
        <Choice
          label="head"
          value={String(chosen.head)}
          options={numbers(other.heads)}
          onChoose={(value) => choose(other.name, Math.max(0, chosen.layer), Number(value))}
        />
      </div>
      {beside === null || head.head < 0 ? (
        <p class="liw-muted liw-heads-hint">
          {head.head < 0
            ? "Open one head to compare it."
            : "Choose a head to compare this one with."}
        </p>
      ) : (
        <div class="liw-heads-compare">
          <figure>
            <figcaption>{nameOf(head)}</figcaption>
            <Matrix {...matrix} slot="first" heads={[head]} totals={null} label={nameOf(head)} />
          </figure>
          <figure>
            <figcaption>{`${nameOf(beside.ref)}${other === stack ? "" : `, ${other.title}`}`}</figcaption>
            <Matrix
              {...matrix}
              stack={other}
              rows={rows2}
              cols={cols2}
              {...(alike ? {} : own)}
              slot="second"
              heads={[beside.ref]}
              totals={null}
              label={nameOf(beside.ref)}
            />
          </figure>
          {alike ? (
            <figure>
              <figcaption>First less second: orange where the first gives more</figcaption>
              <Matrix
                {...matrix}
                slot="gap"
                heads={[head, beside.ref]}
                totals={null}
                label="Difference"
              />
            </figure>
          ) : (
            <p class="liw-muted liw-heads-hint">
              {`The texts have ${rows.count} and ${rows2.count} pieces: there is no difference cell by cell. Texts of equal length, or taken together alike, have one.`}
            </p>
          )}
        </div>
      )}
    </>
  );
}
