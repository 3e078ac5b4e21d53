/** Several explanations as strips under one text, and how alike they rank its pieces. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import { position } from "../colour";
import { type Comparison, compare, type Disagreement, type Strip, summary } from "../compare";
import { compareSvg } from "../compare_picture";
import type { Connection } from "../connect";
import { columnsCsv } from "../csv";
import { aligned, brief, decimalsFor, MINUS, signed, unitName, visible } from "../format";
import { canvasMeasure } from "../picture";
import type { Subject } from "../protocol.gen";
import { language, listed, say } from "../say";
import * as W from "../words";
import { CopyButton, CopyPicture } from "./copy";
import { asIndex, Frame, type StageProps, useChanges } from "./frame";
import { Outputs } from "./outputs";

/** Traits whose changes the view wants to hear of. */
export const TRAITS = ["selected", "output", "labels", "words"] as const;

const NAMES = 150;
const NARROWEST = 34;
const ROOM = 14;

export function CompareView({ connection }: { connection: Connection }): JSX.Element {
  useChanges(connection);
  const comparison = useComparison(connection);
  const output = asIndex(connection.get("output")) ?? 0;
  const state = useMemo(() => summary(comparison, output), [comparison, output, language()]);
  return (
    <Frame
      connection={connection}
      state={state ?? connection.state()}
      Stage={Strips}
      Choice={Outputs}
      Table={Table}
    />
  );
}

/** The comparison as it stands; made anew only when a job has news. */
function useComparison(connection: Connection): Comparison {
  const output = asIndex(connection.get("output")) ?? 0;
  const labels = (connection.get("labels") ?? []) as string[];
  const states = [connection.state(), ...connection.others()];
  const held = useRef<{ of: readonly unknown[]; comparison: Comparison } | null>(null);
  const of = [output, labels.join("\n"), ...states];
  if (held.current?.of.length !== of.length || of.some((one, i) => one !== held.current?.of[i])) {
    held.current = { of, comparison: compare(states, labels, output) };
  }
  return held.current.comparison;
}

function Strips(props: StageProps): JSX.Element {
  const { connection, subject, pinned, looked, pin, look } = props;
  const comparison = useComparison(connection);
  const box = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(640);
  const [cursor, setCursor] = useState(0);
  useEffect(() => {
    if (!box.current) return undefined;
    const element = box.current;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth || 640));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const lines = useMemo(
    () => broken(subject, comparison.columns, Math.max(120, width - NAMES)),
    [subject, comparison.columns, width],
  );
  const at = Math.min(cursor, comparison.columns.length - 1);
  const move = (event: KeyboardEvent): void => {
    const last = comparison.columns.length - 1;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") pin(null);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = clamp(to, 0, last);
    box.current?.querySelector<HTMLElement>(`[data-column="${next}"]`)?.focus();
  };
  const picture = (): string => compareSvg({ ...props, comparison }, canvasMeasure());
  const shown = looked ?? pinned;
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the buttons within have the focus */}
      <div
        class="liw-cmp"
        ref={box}
        data-lm-suppress-shortcuts="true"
        onKeyDown={move}
        onMouseLeave={() => look(null)}
      >
        {lines.map((line) => (
          <table class="liw-cmp-line" key={line[0]}>
            <thead>
              <tr>
                <td class="liw-cmp-corner" />
                {line.map((column) => {
                  const index = comparison.columns[column] ?? -1;
                  const disagreement = comparison.disagreements[column] ?? null;
                  return (
                    <th
                      scope="col"
                      key={column}
                      data-looked={index === shown || undefined}
                      onMouseEnter={() => look(index)}
                    >
                      <button
                        type="button"
                        data-column={column}
                        tabIndex={column === at ? 0 : -1}
                        aria-pressed={index === pinned}
                        title={disagreement ? say(DISAGREEMENTS[disagreement]) : undefined}
                        onClick={() => pin(index === pinned ? null : index)}
                        onFocus={() => {
                          setCursor(column);
                          look(index);
                        }}
                        onBlur={() => look(null)}
                      >
                        <bdi>{shortened(subject, index)}</bdi>
                        <span class="liw-cmp-mark" aria-hidden="true">
                          {disagreement && MARKS[disagreement]}
                        </span>
                        {disagreement && (
                          <span class="liw-hidden">
                            {say(W.COMMA) + say(DISAGREEMENTS[disagreement])}
                          </span>
                        )}
                      </button>
                    </th>
                  );
                })}
              </tr>
            </thead>
            <tbody>
              {comparison.strips.map((strip, i) => (
                <tr key={i}>
                  <th scope="row">{strip.label}</th>
                  {line.map((column) => (
                    <Cell
                      key={column}
                      strip={strip}
                      column={column}
                      looked={comparison.columns[column] === shown}
                    />
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        ))}
      </div>
      <p class="liw-pinned liw-muted">{valuesOf(shown, comparison, subject)}</p>
      <div class="liw-under">
        <p class="liw-legend">
          {say(W.STRIPS_LEGEND)}
          {comparison.disagreements.includes("sign") && ` ${MARKS.sign} ${say(W.SIGNS_DIFFER)}`}
          {comparison.disagreements.includes("rank") && ` ${MARKS.rank} ${say(W.RANKS_DIFFER)}`}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="comparison" svg={picture} />
        </div>
      </div>
      <Correlations comparison={comparison} />
    </>
  );
}

const MARKS = { sign: "±", rank: "↕" } as const;
const DISAGREEMENTS: Record<NonNullable<Disagreement>, string> = {
  sign: W.DISAGREE_IN_SIGN,
  rank: W.RANKS_DIFFER,
};

interface CellProps {
  readonly strip: Strip;
  readonly column: number;
  readonly looked: boolean;
}

/** One score: a bar from the middle, so that no sign is told by colour alone. */
function Cell({ strip, column, looked }: CellProps): JSX.Element {
  const score = strip.scores[column] ?? Number.NaN;
  const t = position(score, strip.readings.largest);
  const unsure = strip.unsure[column] ?? false;
  const kind = Number.isNaN(score) ? "absent" : unsure ? "unsure" : t < 0 ? "lowers" : "raises";
  return (
    <td data-kind={kind} data-looked={looked || undefined} title={signed(score)}>
      <span class="liw-cmp-cell" aria-hidden="true">
        <span
          class="liw-cmp-bar"
          data-way={t < 0 ? "down" : "up"}
          style={{ height: `${(50 * Math.abs(t)).toFixed(1)}%` }}
        />
      </span>
      <span class="liw-hidden">{signed(score)}</span>
    </td>
  );
}

/** What all say of one piece, in one line. */
function valuesOf(index: number | null, { columns, strips }: Comparison, subject: Subject) {
  const column = index === null ? -1 : columns.indexOf(index);
  if (column < 0) return say(W.POINT_AT_A_PIECE_FOR_VALUES);
  const values = strips.map(({ label, scores, ranks, state, unsure }) => {
    const unit = unitName(state.subject?.unit ?? "value");
    const rank = ranks[column];
    return listed([
      `${label} ${signed(scores[column] ?? Number.NaN)} ${unit}`,
      rank ? say(W.RANK_ONLY, { rank }) : "",
      unsure[column] ? say(W.NOT_SURE) : "",
    ]);
  });
  return `“${visible(subject.inputs[index ?? -1]?.text ?? "")}”: ${values.join(" · ")}`;
}

/** Spearman's rank correlation of every pair. */
function Correlations({ comparison }: { comparison: Comparison }): JSX.Element | null {
  const { strips, correlation } = comparison;
  if (strips.length < 2) return null;
  return (
    <table class="liw-cmp-rho">
      <caption>{say(W.RANK_CORRELATION_SPEARMAN)}</caption>
      <thead>
        <tr>
          <td />
          {strips.slice(0, -1).map(({ label }, i) => (
            <th scope="col" key={i}>
              {label}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {strips.slice(1).map(({ label }, i) => (
          <tr key={i}>
            <th scope="row">{label}</th>
            {strips.slice(0, -1).map((_, j) => (
              <td key={j}>{j <= i ? rho(correlation[i + 1]?.[j]) : ""}</td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function rho(value = Number.NaN): string {
  return Number.isNaN(value) ? "–" : value.toFixed(2).replace("-", MINUS);
}

type Order = number | "piece";

/** The numeric twin: a row for each piece, a column for each explanation. */
function Table({ connection, subject }: StageProps): JSX.Element {
  const { columns, strips } = useComparison(connection);
  const [by, setBy] = useState<Order>("piece");
  const [down, setDown] = useState(false);
  const score = (column: number): number => {
    const value = by === "piece" ? column : (strips[by]?.scores[column] ?? Number.NaN);
    return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
  };
  const order = columns.map((_, column) => column);
  order.sort((a, b) => (score(a) - score(b)) * (down ? -1 : 1) || a - b);
  const sortBy = (next: Order): void => {
    setDown(next === by ? !down : next !== "piece");
    setBy(next);
  };
  const head = (key: Order, title: string): JSX.Element => (
    <th
      scope="col"
      key={key}
      data-column={key === "piece" ? "token" : "score"}
      aria-sort={key !== by ? "none" : down ? "descending" : "ascending"}
    >
      <button type="button" class="liw-sort" onClick={() => sortBy(key)}>
        {title}
        <span aria-hidden="true">{key !== by ? "" : down ? "↓" : "↑"}</span>
      </button>
    </th>
  );
  const texts = columns.map((index) => subject.inputs[index]?.text ?? "");
  return (
    <div class="liw-fold-body">
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
      <div class="liw-table-box" role="group" aria-label={say(W.SCORES_OF_ALL_PIECES)} tabIndex={0}>
        <table class="liw-table">
          <thead>
            <tr>
              {head("piece", say(W.PIECE))}
              {strips.map(({ label }, i) => head(i, label))}
            </tr>
          </thead>
          <tbody>
            {order.map((column) => (
              <tr key={column}>
                <th scope="row">
                  <bdi>{visible(texts[column] ?? "")}</bdi>
                </th>
                {strips.map(({ scores, readings }, i) => (
                  <td key={i}>
                    {aligned(scores[column] ?? Number.NaN, decimalsFor(readings.largest))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <CopyButton
        label={say(W.COPY_CSV)}
        file="comparison.csv"
        make={() =>
          columnsCsv(
            strips.map(({ label }) => label),
            texts,
            strips.map(({ scores }) => scores),
          )
        }
      />
    </div>
  );
}

function shortened(subject: Subject, index: number): string {
  const text = subject.inputs[index]?.text ?? "";
  const shown = text.trim() === "" ? visible(text) : text.trim();
  return brief(shown, 40);
}

/** Columns broken into lines that fit. */
function broken(subject: Subject, columns: readonly number[], width: number): number[][] {
  const measure = canvasMeasure();
  const lines: number[][] = [];
  let used = Number.POSITIVE_INFINITY;
  columns.forEach((index, column) => {
    const size = Math.max(NARROWEST, 0.85 * measure(shortened(subject, index)) + ROOM);
    if (used + size > width) {
      lines.push([]);
      used = 0;
    }
    used += size;
    lines.at(-1)?.push(column);
  });
  return lines;
}
