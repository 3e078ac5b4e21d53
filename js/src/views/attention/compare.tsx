/** Two heads, or one head on two texts, side by side and as their difference. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { axisOf } from "../../attention/axes";
import type { Board, Ref, Stack } from "../../attention/board";
import { type Window, whole } from "../../matrix";
import { listed, say } from "../../say";
import * as W from "../../words";
import { Choice, type Pin } from "./controls";
import { type Cell, Matrix, type MatrixProps } from "./matrix";
import { nameOf } from "./names";

export interface Beside {
  readonly ref: Ref;
  readonly stack: Stack;
}

export function besideOf(
  board: Board,
  stacks: readonly Stack[],
  stack: Stack,
  head: Ref,
): Beside | null {
  const first = stacks[0]?.name;
  const [layer, number, name] = (board.get("beside") ?? []) as unknown as Partial<Pin>;
  if (layer === undefined || number === undefined) {
    if (head.head < 0) return null;
    // The same head on the second text; else what was pinned last; else the next head.
    const second = stacks.find((one) => one.name === `${stack.name} (second text)`);
    if (second) return { ref: { ...head, stack: second.index }, stack: second };
    const pins = (board.get("selected_heads") ?? []) as readonly Pin[];
    const pinned = pins.findLast(
      ([l, h, s]) => (s ?? first) === stack.name && (l !== head.layer || h !== head.head),
    );
    const next = { layer: head.layer, head: (head.head + 1) % stack.heads };
    return {
      ref: { ...head, ...(pinned ? { layer: pinned[0], head: pinned[1] } : next) },
      stack,
    };
  }
  const other = stacks.find((one) => one.name === (name ?? stacks[0]?.name)) ?? stack;
  return { ref: { ...head, stack: other.index, layer, head: number, how: "" }, stack: other };
}

type CompareProps = Omit<MatrixProps, "heads" | "slot" | "label" | "totals"> & {
  readonly stacks: readonly Stack[];
  readonly head: Ref;
  readonly beside: Beside | null;
};

export function Compare({ stacks, head, beside, ...matrix }: CompareProps): JSX.Element {
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
        <span class="liw-muted">{say(W.WITH)}</span>
        {stacks.length > 1 && (
          <Choice
            label={say(W.TEXT_OR_STACK)}
            value={other.name}
            options={stacks.map(({ name, title }) => [name, title])}
            onChoose={(name) => choose(name, Math.max(0, head.layer), Math.max(0, head.head))}
          />
        )}
        <Choice
          label={say(W.LAYER)}
          value={String(chosen.layer)}
          options={numbers(other.layers)}
          onChoose={(value) => choose(other.name, Number(value), Math.max(0, chosen.head))}
        />
        <Choice
          label={say(W.HEAD)}
          value={String(chosen.head)}
          options={numbers(other.heads)}
          onChoose={(value) => choose(other.name, Math.max(0, chosen.layer), Number(value))}
        />
      </div>
      {beside === null ? (
        <p class="liw-muted liw-heads-hint">{say(W.OPEN_ONE_HEAD_TO_COMPARE_IT)}</p>
      ) : (
        <div class="liw-heads-compare">
          <figure>
            <figcaption>{nameOf(head)}</figcaption>
            <Matrix {...matrix} slot="first" heads={[head]} totals={null} label={nameOf(head)} />
          </figure>
          <figure>
            <figcaption>
              {listed([nameOf(beside.ref), other === stack ? "" : other.title])}
            </figcaption>
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
              <figcaption>{say(W.FIRST_LESS_SECOND)}</figcaption>
              <Matrix
                {...matrix}
                slot="gap"
                heads={[head, beside.ref]}
                totals={null}
                label={say(W.DIFFERENCE)}
              />
            </figure>
          ) : (
            <p class="liw-muted liw-heads-hint">
              {say(W.NO_DIFFERENCE, { first: rows.count, second: rows2.count })}
            </p>
          )}
        </div>
      )}
    </>
  );
}
