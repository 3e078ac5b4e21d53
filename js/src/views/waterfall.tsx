/** The waterfall: from the base value, piece by piece, up to what the model says. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import type { Connection } from "../connect";
import { MINUS, magnitude, ordinal, signed, unitName, visible } from "../format";
import { canvasMeasure } from "../picture";
import type { Subject } from "../protocol.gen";
import { effect } from "../readings";
import { listed, say } from "../say";
import { place, type Step, type Waterfall, waterfall } from "../waterfall";
import { waterfallSvg } from "../waterfall_picture";
import * as W from "../words";
import { CopyPicture } from "./copy";
import { Frame, type StageProps } from "./frame";
import { Outputs } from "./outputs";
import { TableTwin } from "./table";
import { PinnedLine } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output", "words"] as const;

const SHOWN = 9;

export function WaterfallView({ connection }: { connection: Connection }): JSX.Element {
  return <Frame connection={connection} Stage={Stage} Choice={Outputs} Table={TableTwin} />;
}

function Stage(props: StageProps): JSX.Element {
  const { state, subject, output, readings, target, pinned, pin, looked } = props;
  const [all, setAll] = useState(false);
  const base = state.totals?.base[output] ?? Number.NaN;
  const said = state.totals?.output[output] ?? Number.NaN;
  if (readings.ranked.length === 0 || Number.isNaN(base) || Number.isNaN(said)) {
    return <p class="liw-waiting liw-muted">{say(W.WAITING_FOR_THE_FIRST_SCORES)}</p>;
  }
  const shape = waterfall(readings, base, said, all ? readings.ranked.length : SHOWN);
  const picture = (): string =>
    waterfallSvg({ ...props, shape, names: (step) => nameOf(step, subject) }, canvasMeasure());
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: what is shown on hover is on focus, too */}
      <div
        class="liw-wf"
        data-margins={readings.ranked.some(({ margin }) => margin > 0) || undefined}
        onMouseLeave={() => props.look(null)}
      >
        <Scale
          shape={shape}
          label={say(W.UNIT_OF_TARGET, { unit: unitName(subject.unit), target })}
        />
        <End label={say(W.TEXT_AS_IT_IS)} value={said} shape={shape} />
        <Steps
          {...props}
          shape={shape}
          all={all}
          onAll={() => setAll(!all)}
          onLook={props.look}
          onPin={(index) => pin(index === pinned ? null : index)}
        />
        <End label={say(W.ALL_SWITCHED_OFF)} value={base} shape={shape} />
      </div>
      <PinnedLine subject={subject} output={output} readings={readings} index={looked ?? pinned} />
      <div class="liw-under">
        <p class="liw-muted liw-wf-key">
          <span class="liw-wf-swatch" data-kind="lowers" /> {say(W.LOWERS)}
          <span class="liw-wf-swatch" data-kind="raises" /> {say(W.RAISES)}
          {readings.anyUnsure && (
            <>
              <span class="liw-wf-swatch" data-kind="unsure" /> {say(W.CROSSES_ZERO)}
            </>
          )}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="waterfall" svg={picture} />
        </div>
      </div>
    </>
  );
}

function Scale({ shape, label }: { shape: Waterfall; label: string }): JSX.Element {
  return (
    <div class="liw-wf-scale" aria-hidden="true">
      <span class="liw-wf-unit">{label}</span>
      <div class="liw-wf-grid">
        {shape.ticks.map((tick) => (
          <span
            key={tick}
            class="liw-wf-tick"
            style={{ left: `${place(shape, tick).toFixed(2)}%` }}
          >
            {`${tick < 0 ? MINUS : ""}${Math.abs(tick)}`}
          </span>
        ))}
      </div>
    </div>
  );
}

interface EndProps {
  readonly label: string;
  readonly value: number;
  readonly shape: Waterfall;
}

function End({ label, value, shape }: EndProps): JSX.Element {
  return (
    <p class="liw-wf-row liw-wf-end">
      <span class="liw-wf-name">{label}</span>
      <span class="liw-wf-track" aria-hidden="true">
        <span class="liw-wf-mark" style={{ left: `${place(shape, value).toFixed(2)}%` }} />
      </span>
      <span class="liw-wf-value">{`${value < 0 ? MINUS : ""}${magnitude(value)}`}</span>
    </p>
  );
}

interface StepsProps extends StageProps {
  readonly shape: Waterfall;
  readonly all: boolean;
  readonly onAll: () => void;
  readonly onLook: (index: number | null) => void;
  readonly onPin: (index: number) => void;
}

/** One stop for Tab; arrows, Home and End move within. */
function Steps(props: StepsProps): JSX.Element {
  const { shape, subject, readings, all, pinned } = props;
  const list = useRef<HTMLOListElement>(null);
  const [cursor, setCursor] = useState(0);
  const folds = all && readings.ranked.length > SHOWN + 1;
  const stops = shape.steps.filter((step) => step.kind !== "rest").length + (folds ? 1 : 0);
  const at = Math.min(cursor, stops - 1);
  const unfolded = useRef(all);
  useLayoutEffect(() => {
    // The button that was pressed is gone: what took its place goes on.
    if (unfolded.current !== all) list.current?.querySelectorAll("button")[at]?.focus();
    unfolded.current = all;
  });
  const move = (event: KeyboardEvent): void => {
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: stops - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    list.current?.querySelectorAll("button")[clamp(to, 0, stops - 1)]?.focus();
  };
  return (
    <ol class="liw-wf-steps" ref={list} onKeyDown={move}>
      {shape.steps.map((step, i) => {
        const row = (
          <>
            <StepRow step={step} shape={shape} subject={subject} />
            <span class="liw-hidden">{more(step, props)}</span>
          </>
        );
        const kind = kindOf(step);
        if (step.kind === "rest") {
          return (
            <li key="rest" data-kind={kind}>
              <span class="liw-wf-row">{row}</span>
            </li>
          );
        }
        const stop = {
          type: "button" as const,
          class: "liw-wf-row",
          tabIndex: i === at ? 0 : -1,
          onFocus: () => {
            setCursor(i);
            props.onLook(step.kind === "piece" ? step.index : null);
          },
          onBlur: () => props.onLook(null),
          onMouseEnter: () => props.onLook(step.kind === "piece" ? step.index : null),
        };
        if (step.kind === "others") {
          return (
            <li key="others" data-kind={kind}>
              <button {...stop} aria-expanded={false} onClick={props.onAll}>
                {row}
              </button>
            </li>
          );
        }
        return (
          <li
            key={step.index}
            data-kind={kind}
            data-looked={step.index === props.looked || undefined}
          >
            <button
              {...stop}
              aria-pressed={step.index === pinned}
              onClick={() => props.onPin(step.index)}
            >
              {row}
            </button>
          </li>
        );
      })}
      {folds && (
        <li key="fold">
          <button
            type="button"
            class="liw-wf-row liw-wf-fold"
            aria-expanded={true}
            tabIndex={at === stops - 1 ? 0 : -1}
            onFocus={() => setCursor(stops - 1)}
            onClick={props.onAll}
          >
            <span class="liw-wf-name">{say(W.ONLY_THE_LARGEST, { n: SHOWN })}</span>
          </button>
        </li>
      )}
    </ol>
  );
}

interface StepRowProps {
  readonly step: Step;
  readonly shape: Waterfall;
  readonly subject: Subject;
}

function StepRow({ step, shape, subject }: StepRowProps): JSX.Element {
  const { from, to, margin } = step;
  const span = (a: number, b: number) => ({
    left: `${place(shape, Math.min(a, b)).toFixed(2)}%`,
    width: `${(place(shape, Math.max(a, b)) - place(shape, Math.min(a, b))).toFixed(2)}%`,
  });
  return (
    <>
      <bdi class="liw-wf-name">{nameOf(step, subject)}</bdi>
      <span class="liw-wf-track">
        <span class="liw-wf-join" style={{ left: `${place(shape, to).toFixed(2)}%` }} />
        <span class="liw-wf-bar" style={span(from, to)} />
        {margin > 0 && <span class="liw-wf-whisker" style={span(to - margin, to + margin)} />}
      </span>
      <span class="liw-wf-value">
        {signed(to - from)}
        {margin > 0 && <span class="liw-muted"> ± {magnitude(margin)}</span>}
      </span>
    </>
  );
}

function kindOf({ kind, from, to, unsure }: Step): string {
  if (kind === "rest") return "rest";
  if (unsure) return "unsure";
  return to < from ? "lowers" : "raises";
}

/** What stands before a bar. */
export function nameOf({ kind, index, count }: Step, subject: Subject): string {
  if (kind === "piece") return visible(subject.inputs[index]?.text ?? "");
  return kind === "others" ? say(W.N_OTHER_PIECES, { n: count }) : say(W.NOT_EXPLAINED);
}

/** What a screen reader is told beside the name and the value. */
function more({ kind, index }: Step, { subject, readings, target }: StageProps): string {
  const reading = readings.all[index];
  const nth = ordinal(index + 1);
  const told = reading
    ? listed([say(W.NTH_TOKEN, { nth }), effect(reading, subject, target)])
    : kind === "others"
      ? say(W.TOGETHER_SHOW_THEM)
      : "";
  return told && say(W.COMMA) + told;
}
