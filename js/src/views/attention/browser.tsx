/**
 * All heads of a model on one text: an overview, and the head that is open below it.
 *
 * What is open, pinned, looked at and ranked are traits, so that Python and a saved page know.
 */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Board, Overview as Drawn, Stack } from "../../attention/board";
import { SCALES, scaleOf } from "../../attention/ramp";
import { type HeadAt, ranked, SCORES } from "../../attention/ranking";
import type { Theme } from "../../colour";
import type { ErrorInfo, Fact } from "../../protocol.gen";
import { language, say, speak } from "../../say";
import * as W from "../../words";
import { Fold } from "../fold";
import { Caution, Facts, Failure } from "../footer";
import { Choice, type Pin } from "./controls";
import { HeadSlot } from "./head_slot";
import { HeadTable } from "./head_table";
import { useBoard } from "./hooks";
import { Overview, same } from "./overview";

export function AttentionBrowserView({ board }: { board: Board }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  const theme = useBoard(board, root);
  useEffect(() => (root.current ? board.watch(root.current) : undefined), [board]);
  const stacks = board.stacks();
  const shown = stacks.find(({ name }) => name === board.get("stack")) ?? stacks[0];
  speak(board.get("words"));
  return (
    <div
      class="liw liw-heads"
      ref={root}
      lang={language()}
      data-theme={theme}
      style={{ colorScheme: theme }}
    >
      {shown === undefined ? (
        <p class="liw-waiting liw-muted">{say(W.THERE_IS_NOTHING_TO_SHOW)}</p>
      ) : (
        <Browser board={board} stacks={stacks} stack={shown} theme={theme} />
      )}
    </div>
  );
}

interface Props {
  readonly board: Board;
  readonly stacks: readonly Stack[];
  readonly stack: Stack;
  readonly theme: Theme;
}

function Browser({ board, stacks, stack, theme }: Props): JSX.Element {
  const scale = scaleOf(board.get("scale"));
  const subject = board.subject();
  const drawn = board.overview(stack.index);
  const sort = String(board.get("sort") ?? "");
  const least = Number(board.get("least") ?? 0);
  const [layer = 0, head = 0] = board.get("head") as number[];
  const pins = (board.get("selected_heads") ?? []) as readonly Pin[];
  const first = stacks[0]?.name;
  const inStack = pins.filter((pin) => (pin[2] ?? first) === stack.name);
  const failure = board.get("failure") as Partial<ErrorInfo> | null;
  const show = (at: HeadAt): void => board.set({ head: [at.layer, at.head], how: "" });
  const pinOf = ({ layer, head }: HeadAt): Pin =>
    stack.name === first ? [layer, head] : [layer, head, stack.name];
  const toggle = (pin: Pin): void => {
    const without = pins.filter((one) => String(one) !== String(pin));
    board.set({ selected_heads: without.length < pins.length ? without : [...pins, pin] });
  };
  const bySort = ranked(drawn, stack, sort, least).length;
  return (
    <>
      <div class="liw-head">
        <p class="liw-eyebrow">{say(W.ATTENTION_WEIGHTS)}</p>
        <h2 class="liw-title">{title(stack)}</h2>
        <Caution text={subject?.caution ?? ""} />
      </div>
      {board.hearing !== "well" && (
        <p class="liw-heads-problem" role="alert">
          {say(board.hearing === "busy" ? W.KERNEL_SILENT : W.KERNEL_LOST)}
        </p>
      )}
      {failure?.message && <Failure error={{ name: "", ...failure } as ErrorInfo} />}
      <div class="liw-toolbar liw-heads-bar-top">
        {stacks.length > 1 && (
          <Choice
            label={say(W.STACK)}
            value={stack.name}
            options={stacks.map(({ name, title }) => [name, title])}
            onChoose={(name) =>
              board.set({
                stack: name,
                head: [0, 0],
                how: "",
                selected: null,
                key: null,
                beside: [],
              })
            }
          />
        )}
        <Choice
          label={say(W.ORDER)}
          value={sort}
          options={[
            ["", say(W.PLACE_IN_THE_MODEL)],
            ...Object.entries(SCORES).map(([name, [score]]): [string, string] => [
              name,
              say(W.SCORE_OF, { score: say(score) }),
            ]),
          ]}
          onChoose={(name) => board.set({ sort: name, least: 0 })}
        />
        {sort !== "" && (
          <label class="liw-heads-choice">
            {say(W.AT_LEAST)}
            <input
              type="number"
              step="any"
              min="0"
              value={least}
              onChange={({ currentTarget }) =>
                board.set({ least: Math.max(0, currentTarget.valueAsNumber || 0) })
              }
            />
            <span class="liw-muted">{say(W.N_HEADS, { n: bySort })}</span>
          </label>
        )}
        <Choice
          label={say(W.COLOURS)}
          value={scale}
          options={Object.entries(SCALES).map(([name, scale]) => [name, say(scale)])}
          onChoose={(name) => board.set({ scale: name })}
        />
        <Standing drawn={drawn} lost={board.hearing === "gone"} />
      </div>
      <Overview
        drawn={drawn}
        stack={stack}
        theme={theme}
        scale={scale}
        sort={sort}
        least={least}
        open={head < 0 ? null : { layer, head }}
        absent={absent(board, stack)}
        pinned={inStack.map(([layer, head]) => ({ layer, head }))}
        onOpen={show}
        onPin={(at) => toggle(pinOf(at))}
      />
      <Shelf
        pins={pins}
        first={first ?? ""}
        open={(pin) =>
          (pin[2] ?? first) === stack.name && same({ layer: pin[0], head: pin[1] }, { layer, head })
        }
        onOpen={(pin) => board.set({ stack: pin[2] ?? first, head: [pin[0], pin[1]], how: "" })}
        onDrop={toggle}
      />
      <HeadSlot board={board} />
      <div class="liw-foot">
        <Facts facts={[...stack.facts, ...kept(board, stack)]} />
      </div>
      <div class="liw-folds">
        <Fold title={say(W.TABLE_OF_HEADS)}>
          <HeadTable drawn={drawn} stack={stack} onOpen={show} />
        </Fold>
      </div>
    </>
  );
}

function title(stack: Stack): string {
  const { layers, heads } = stack;
  const n = layers * heads;
  return stack.name === "self"
    ? say(W.WHERE_N_HEADS_LOOK, { n })
    : say(W.WHERE_STACK_HEADS_LOOK, { n, stack: stack.title });
}

/** What a page keeps of a stack's heads, as far as the overview tells. */
interface Kept {
  readonly error_max?: number;
  readonly left_out?: string;
  readonly parts?: readonly {
    readonly layer: number;
    readonly head: number;
    readonly heads: number;
  }[];
}

function keptOf(board: Board, stack: Stack): Kept | null {
  const all = board.live ? null : (board.get("kept") as readonly Kept[] | null);
  return all?.[stack.index] ?? null;
}

/** Heads that a page could not keep, each as layer · heads + head. */
function absent(board: Board, stack: Stack): ReadonlySet<number> {
  const kept = keptOf(board, stack);
  if (kept === null || !kept.left_out) return new Set();
  const missing = new Set(Array.from({ length: stack.layers * stack.heads }, (_, i) => i));
  for (const { layer, head, heads } of kept.parts ?? []) {
    for (let i = 0; i < heads; i++) missing.delete(layer * stack.heads + head + i);
  }
  return missing;
}

/** What a page could not keep, or how far it is from exact. */
function kept(board: Board, stack: Stack): Fact[] {
  const own = keptOf(board, stack);
  const facts: Fact[] = [];
  if (own?.error_max) {
    const value = say(W.WITHIN_EXACT, { error: own.error_max.toPrecision(2) });
    const level = own.error_max > 0.02 ? "warn" : "plain";
    facts.push({ label: say(W.IN_THIS_FILE), value, level });
  }
  if (own?.left_out) facts.push({ label: say(W.LEFT_OUT), value: own.left_out, level: "warn" });
  return facts;
}

interface StandingProps {
  readonly drawn: Drawn | null;
  readonly lost: boolean;
}

function Standing({ drawn, lost }: StandingProps): JSX.Element | null {
  const pictures = drawn?.pictures ?? [];
  const exact = pictures.filter((picture) => picture?.stage === 2).length;
  if (drawn === null || exact === pictures.length) return null;
  const some = pictures.filter((picture) => picture !== null).length;
  const over = lost || (drawn.status !== "running" && drawn.status !== "queued");
  const n = pictures.length;
  return (
    <span class="liw-muted liw-heads-small" role="status">
      {over
        ? say(W.DRAWING_STOPPED, {
            exact,
            n,
          })
        : some < n
          ? say(W.DRAWING_LAYER, { at: some + 1, n })
          : say(W.SAMPLED_EXACT, { exact, n })}
    </span>
  );
}

interface ShelfProps {
  readonly pins: readonly Pin[];
  readonly first: string;
  readonly open: (pin: Pin) => boolean;
  readonly onOpen: (pin: Pin) => void;
  readonly onDrop: (pin: Pin) => void;
}

function Shelf({ pins, first, open, onOpen, onDrop }: ShelfProps): JSX.Element | null {
  if (pins.length === 0) return null;
  const name = ([layer, head, stack]: Pin): string =>
    `${layer}.${head}${stack && stack !== first ? ` ${stack}` : ""}`;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of buttons, no fields
    <div class="liw-toolbar liw-heads-shelf" role="group" aria-label={say(W.PINNED_HEADS)}>
      <span class="liw-muted">{say(W.PINNED)}</span>
      {pins.map((pin) => (
        <span class="liw-heads-pin" key={String(pin)}>
          <button
            type="button"
            class="liw-button"
            aria-pressed={open(pin)}
            aria-label={say(W.OPEN_PINNED, {
              name: name(pin),
              layer: pin[0],
              head: pin[1],
            })}
            onClick={() => onOpen(pin)}
          >
            {name(pin)}
          </button>
          <button
            type="button"
            class="liw-button"
            aria-label={say(W.UNPIN, {
              layer: pin[0],
              head: pin[1],
            })}
            onClick={() => onDrop(pin)}
          >
            ×
          </button>
        </span>
      ))}
    </div>
  );
}
