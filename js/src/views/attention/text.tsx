/**
 * The text itself: point at a token, and what it attends to is tinted blue, what attends to it
 * orange. The same colours as everywhere, but here they are no signs.
 */

import type { JSX, TargetedKeyboardEvent } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import type { Axis } from "../../attention/axes";
import {
  type Answer,
  type Board,
  type Ref,
  type Stack,
  type Text,
  wantOf,
} from "../../attention/board";
import { strength, WEIGHTS } from "../../attention/ramp";
import { clamp } from "../../clamp";
import { octets } from "../../decode";
import { visible } from "../../format";
import { say } from "../../say";
import * as W from "../../words";
import { useAnswers } from "./hooks";
import type { Cell, Look } from "./matrix";

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly pieces: string;
  readonly look: Look;
  readonly cell: Cell | null;
  readonly onLook: (cell: Cell | null) => void;
  readonly onPick: (cell: Cell) => void;
  readonly onRelease: () => void;
}

export function HeadText(props: Props): JSX.Element {
  const { board, stack, head, rows, cols, look, cell, onLook, onPick } = props;
  const one = stack.queries === stack.keys;
  const query = cell === null || cell.query < 0 ? null : cell.query;
  const key = cell === null ? null : one ? cell.query : cell.key;
  const of = (axis: Axis, at: number): number[] => [axis.edges[at] ?? 0, axis.edges[at + 1] ?? 0];
  const how = head.head < 0 ? head.how : "mean";
  const across =
    query === null
      ? []
      : [wantOf("grid", { ...head, how }, { rows: of(rows, query), cols: [...cols.edges] })];
  const down =
    key === null || key < 0
      ? []
      : [wantOf("grid", { ...head, how }, { rows: [...rows.edges], cols: of(cols, key) })];
  const answers = useAnswers(board, "text", [...across, ...down]);
  const to = across.length > 0 ? weightsOf(answers[0]) : null;
  const from = down.length > 0 ? weightsOf(answers.at(-1)) : null;
  const failed = answers.find((answer) => answer?.error)?.error;
  const block = (text: Text, axis: Axis, side: "both" | "query" | "key"): JSX.Element => (
    <Block
      text={text}
      axis={axis}
      pieces={props.pieces}
      name={say(
        side === "query" ? W.WHO_ATTENDS : side === "key" ? W.WHO_IS_ATTENDED_TO : W.TEXT_MODE,
      )}
      look={look}
      blue={side === "query" ? null : to}
      orange={side === "key" ? null : from}
      at={side === "key" ? (key === null || key < 0 ? null : key) : query}
      onLook={(at) =>
        onLook(
          at === null ? null : side === "key" ? { query: -1, key: at } : { query: at, key: -1 },
        )
      }
      onRelease={props.onRelease}
      onPick={(at) => onPick(side === "key" ? { query: -1, key: at } : { query: at, key: -1 })}
    />
  );
  return (
    <div class="liw-heads-text">
      {one ? (
        block(stack.queries, rows, "both")
      ) : (
        <>
          <p class="liw-muted liw-heads-small">{say(W.ATTENDS_HEADING)}</p>
          {block(stack.queries, rows, "query")}
          <p class="liw-muted liw-heads-small">{say(W.IS_ATTENDED_TO_HEADING)}</p>
          {block(stack.keys, cols, "key")}
        </>
      )}
      {failed && (
        <p class="liw-heads-problem" role="alert">
          {failed.message}
        </p>
      )}
    </div>
  );
}

interface BlockProps {
  readonly text: Text;
  readonly axis: Axis;
  readonly pieces: string;
  readonly name: string;
  readonly look: Look;
  readonly blue: Float32Array | null;
  readonly orange: Float32Array | null;
  readonly at: number | null;
  readonly onLook: (at: number | null) => void;
  readonly onPick: (at: number) => void;
  readonly onRelease: () => void;
}

function Block({
  text,
  axis,
  pieces,
  name,
  look,
  blue,
  orange,
  at,
  onLook,
  onPick,
  onRelease,
}: BlockProps): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const marks = useMemo(
    () =>
      Array.from({ length: axis.count }, (_, i) => {
        const [start, end] = [axis.edges[i] ?? 0, axis.edges[i + 1] ?? 0];
        const alone = end - start < 2;
        const joined = text.tokens.slice(start, end).join("");
        const words = alone ? joined : axis.name(i);
        const special = alone && text.special[start] === 1;
        return (
          <span
            key={i}
            class="liw-heads-mark"
            role="option"
            data-index={i}
            data-special={special || undefined}
            data-piece={!alone || undefined}
            aria-selected="false"
            tabIndex={-1}
          >
            {words !== "" && (special || words.trim() === "") ? visible(words) : words}
            {words.includes("\n") && <br />}
          </span>
        );
      }),
    [text, axis, pieces],
  );
  // Thousands of marks: their tints are set past Preact, which need not look at each.
  useEffect(() => {
    const all = root.current?.querySelectorAll<HTMLElement>(".liw-heads-mark") ?? [];
    all.forEach((mark, i) => {
      const [to, from] = [blue?.[i] ?? 0, orange?.[i] ?? 0];
      const most = Math.max(to, from);
      const t = most < look.least ? 0 : strength(most, look.scale);
      if (t > 0) mark.dataset["kind"] = from > to ? "raises" : "lowers";
      else delete mark.dataset["kind"];
      mark.style.setProperty("--t", t.toFixed(3));
      mark.ariaSelected = String(i === at);
      mark.tabIndex = i === (at ?? 0) ? 0 : -1;
    });
  }, [marks, blue, orange, at, look]);
  // What was chosen by search or in Python is scrolled to; what is pointed at is in view.
  useEffect(() => {
    const [box, mark] = [root.current, root.current?.children[at ?? -1]];
    if (!box || !mark) return;
    const [outer, inner] = [box.getBoundingClientRect(), mark.getBoundingClientRect()];
    if (inner.top < outer.top) box.scrollTop += inner.top - outer.top - 8;
    else if (inner.bottom > outer.bottom) box.scrollTop += inner.bottom - outer.bottom + 8;
  }, [at]);
  const key = (event: TargetedKeyboardEvent<HTMLElement>): void => {
    const from = Number((event.target as HTMLElement).dataset["index"] ?? at ?? 0);
    const steps: Record<string, number> = {
      ArrowRight: 1,
      ArrowDown: 1,
      ArrowLeft: -1,
      ArrowUp: -1,
      Home: -axis.count,
      End: axis.count,
    };
    const step = steps[event.key];
    if (step !== undefined) {
      const next = clamp(from + step, 0, axis.count - 1);
      onLook(next);
      root.current?.querySelector<HTMLElement>(`[data-index="${next}"]`)?.focus();
    } else if (event.key === "Enter" || event.key === " ") onPick(from);
    else if (event.key === "Escape") {
      onLook(null);
      onRelease();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const indexOf = (target: EventTarget | null): number | null => {
    const mark = (target as HTMLElement | null)?.closest<HTMLElement>("[data-index]");
    return mark ? Number(mark.dataset["index"]) : null;
  };
  return (
    <div
      ref={root}
      class="liw-heads-words"
      role="listbox"
      aria-label={say(W.NAME_N_PIECES, { name, n: axis.count })}
      dir="auto"
      data-lm-suppress-shortcuts="true"
      onPointerOver={(event) => {
        const index = indexOf(event.target);
        if (index !== null && index !== at) onLook(index);
      }}
      onPointerLeave={() => onLook(null)}
      onClick={(event) => {
        const index = indexOf(event.target);
        if (index !== null) onPick(index);
      }}
      onKeyDown={key}
    >
      {marks}
    </div>
  );
}

function weightsOf(answer: Answer | undefined): Float32Array | null {
  const bytes = answer?.buffers[0];
  if (bytes === undefined) return null;
  const codes = octets(bytes);
  return Float32Array.from(codes, (code) => WEIGHTS[code] ?? 0);
}
