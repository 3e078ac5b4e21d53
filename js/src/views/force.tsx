/** The force plot: on one line, what raises the output against what lowers it. */

import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import type { Connection } from "../connect";
import { type Force, force, type Segment } from "../force";
import { forceSvg } from "../force_picture";
import { MINUS, magnitude, ordinal, signed, unitName, visible } from "../format";
import { canvasMeasure } from "../picture";
import type { Subject } from "../protocol.gen";
import { effect } from "../readings";
import { listed, phrase, say } from "../say";
import { place } from "../waterfall";
import * as W from "../words";
import { CopyPicture } from "./copy";
import { Frame, type StageProps } from "./frame";
import { Outputs } from "./outputs";
import { TableTwin } from "./table";
import { PinnedLine } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output", "words"] as const;

export function ForceView({ connection }: { connection: Connection }): JSX.Element {
  return <Frame connection={connection} Stage={Stage} Choice={Outputs} Table={TableTwin} />;
}

function Stage(props: StageProps): JSX.Element {
  const { state, subject, output, readings, target, pinned, looked } = props;
  const base = state.totals?.base[output] ?? Number.NaN;
  const said = state.totals?.output[output] ?? Number.NaN;
  if (readings.ranked.length === 0 || Number.isNaN(base) || Number.isNaN(said)) {
    return <p class="liw-waiting liw-muted">{say(W.WAITING_FOR_THE_FIRST_SCORES)}</p>;
  }
  const shape = force(readings, base, said);
  const picture = (): string =>
    forceSvg({ ...props, shape, names: (segment) => nameOf(segment, subject) }, canvasMeasure());
  return (
    <>
      <div class="liw-force">
        <p class="liw-force-unit">
          {phrase(W.UNIT_OF_TARGET, { unit: unitName(subject.unit), target: <bdi>{target}</bdi> })}
        </p>
        <Ends shape={shape} />
        <Segments {...props} shape={shape} onLook={props.look} />
        <div class="liw-force-axis" aria-hidden="true">
          {shape.ticks.map((tick) => (
            <span
              key={tick}
              class="liw-force-tick"
              style={{ left: `${place(shape, tick).toFixed(2)}%` }}
            >
              {plain(tick)}
            </span>
          ))}
        </div>
      </div>
      <PinnedLine subject={subject} output={output} readings={readings} index={looked ?? pinned} />
      <div class="liw-under">
        <p class="liw-muted liw-force-key">
          <span class="liw-force-swatch" data-kind="raises" /> {say(W.PUSHES_UP)}
          <span class="liw-force-swatch" data-kind="lowers" /> {say(W.PUSHES_DOWN)}
          {readings.anyUnsure && (
            <>
              <span class="liw-swatch" /> {say(W.CROSSES_ZERO)}
            </>
          )}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="force" svg={picture} />
        </div>
      </div>
    </>
  );
}

/** Where it starts and where both sides meet, a line each; labels lean to where there is room. */
function Ends({ shape }: { shape: Force }): JSX.Element {
  const end = (words: string, value: number): JSX.Element => {
    const at = place(shape, value);
    return (
      <p
        class="liw-force-end"
        data-side={at > 50 ? "left" : "right"}
        style={{ "--at": `${at.toFixed(2)}%` }}
      >
        <span class="liw-muted">{words}</span> <b>{plain(value)}</b>
      </p>
    );
  };
  return (
    <div class="liw-force-ends">
      {end(say(W.ALL_SWITCHED_OFF_INLINE), shape.base)}
      {end(say(W.TEXT_AS_IT_IS_INLINE), shape.output)}
    </div>
  );
}

interface SegmentsProps extends StageProps {
  readonly shape: Force;
  readonly onLook: (index: number | null) => void;
}

/** One stop for Tab; arrows, Home and End move within. */
function Segments(props: SegmentsProps): JSX.Element {
  const { shape, subject, pinned, pin, onLook } = props;
  const list = useRef<HTMLOListElement>(null);
  const [cursor, setCursor] = useState<number | null>(null);
  const stops = shape.segments.length;
  const meeting = shape.segments.findLastIndex((segment) => segment.score > 0);
  const at = Math.min(cursor ?? Math.max(0, meeting), stops - 1);
  const move = (event: KeyboardEvent): void => {
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: stops - 1 }[event.key];
    if (event.key === "Escape") pin(null);
    if (to === undefined) return;
    event.preventDefault();
    list.current?.querySelectorAll("button")[clamp(to, 0, stops - 1)]?.focus();
  };
  return (
    <ol
      class="liw-force-track"
      dir="ltr"
      ref={list}
      onKeyDown={move}
      onMouseLeave={() => onLook(null)}
    >
      {shape.segments.map((segment, i) => {
        const piece = segment.kind === "piece" ? segment.index : null;
        const left = place(shape, segment.low);
        const width = place(shape, segment.high) - left;
        return (
          <li
            key={segment.kind === "piece" ? segment.index : `${segment.kind}${segment.score > 0}`}
            data-kind={kindOf(segment)}
            data-way={segment.score > 0 ? "up" : "down"}
            data-looked={(piece !== null && piece === props.looked) || undefined}
            style={{ left: `${left.toFixed(3)}%`, width: `${width.toFixed(3)}%` }}
          >
            <button
              type="button"
              tabIndex={i === at ? 0 : -1}
              aria-pressed={piece === null ? undefined : piece === pinned}
              aria-label={words(segment, props)}
              title={piece === null ? words(segment, props) : undefined}
              onFocus={() => {
                setCursor(i);
                onLook(piece);
              }}
              onBlur={() => onLook(null)}
              onMouseEnter={() => onLook(piece)}
              onClick={() => piece !== null && pin(piece === pinned ? null : piece)}
            >
              <bdi class="liw-force-name">{nameOf(segment, subject)}</bdi>{" "}
              <span class="liw-force-value">{signed(segment.score)}</span>
            </button>
          </li>
        );
      })}
    </ol>
  );
}

function kindOf({ kind, score, unsure }: Segment): string {
  if (kind === "rest") return "rest";
  if (unsure) return "unsure";
  return score < 0 ? "lowers" : "raises";
}

/** What stands in a segment. */
function nameOf({ kind, index, count }: Segment, subject: Subject): string {
  if (kind === "piece") return visible(subject.inputs[index]?.text ?? "");
  return kind === "others" ? say(W.N_SMALLER, { n: count }) : say(W.NOT_EXPLAINED);
}

/** What a screen reader is told: what is shown, in the same words, and more. */
function words(segment: Segment, { subject, readings, target }: StageProps): string {
  const { kind, index, score, count } = segment;
  const reading = readings.all[index];
  const shown = `${nameOf(segment, subject)} ${signed(score)}`;
  if (reading === undefined) {
    return listed([shown, kind === "others" && say(W.SMALLER_TOGETHER, { n: count })]);
  }
  const nth = say(W.NTH_TOKEN, { nth: ordinal(index + 1) });
  return listed([shown, nth, effect(reading, subject, target)]);
}

function plain(value: number): string {
  return `${value < 0 ? MINUS : ""}${magnitude(value)}`;
}
