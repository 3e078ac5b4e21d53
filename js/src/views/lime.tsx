/** LIME: the weights, what they were fitted to, and the linear model against the model. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { barsSvg } from "../bars_picture";
import { clamp } from "../clamp";
import { css, over, PALETTES, type Theme } from "../colour";
import type { Connection } from "../connect";
import { samplesCsv } from "../csv";
import { aligned, decimalsFor, percent, signed, unitName } from "../format";
import { decode, fitWords, type Neighbourhood, type Sample, samples } from "../neighbourhood";
import { canvasMeasure } from "../picture";
import type { Subject } from "../protocol.gen";
import { language, listed, say } from "../say";
import * as W from "../words";
import { CopyButton, CopyPicture } from "./copy";
import { Fold } from "./fold";
import { asIndex, Frame, type StageProps } from "./frame";
import { Outputs } from "./outputs";
import { Ranking } from "./ranking";
import { TableTwin } from "./table";
import { PinnedLine } from "./tooltip";

/** Traits whose changes the view wants to hear of. */
export const TRAITS = ["selected", "output", "sample", "neighbourhood", "words"] as const;

const SIDE = 280;
const EDGE = 40;
const REACH = 8;
const PAGE = 50;

export function LimeView({ connection }: { connection: Connection }): JSX.Element {
  return (
    <Frame
      connection={connection}
      Stage={Stage}
      Folds={Masked}
      Choice={Outputs}
      Table={TableTwin}
    />
  );
}

/** The masked texts of one output. */
function useSamples({ connection, state, output }: StageProps) {
  const data = connection.get("neighbourhood");
  const seen = useMemo(() => decode(data), [data]);
  const row = state.rows[output] ?? null;
  const all = useMemo(() => (seen ? samples(seen, row, output) : []), [seen, row, output]);
  const chosen = asIndex(connection.get("sample"));
  return { seen, all, chosen: chosen !== null && chosen < all.length ? chosen : null };
}

function Stage(props: StageProps): JSX.Element {
  const { connection, subject, output, readings, target, pinned, pin, looked, look, theme } = props;
  const { seen, all, chosen } = useSamples(props);
  if (readings.ranked.length === 0 || seen === null) {
    return <p class="liw-waiting liw-muted">{say(W.WAITING_FOR_THE_FIRST_SCORES)}</p>;
  }
  const fit = fitWords(seen.fit[output] ?? Number.NaN);
  const choose = (index: number | null): void => connection.set("sample", index);
  const sample = chosen === null ? undefined : all[chosen];
  return (
    <>
      <p class="liw-lime-fit" data-low={fit.low || undefined}>
        {fit.low && <b>{say(W.CAUTION)}</b>}
        {fit.words}
        {subject.outputs.length > 1 && (
          <span class="liw-muted">
            {` ${say(W.FIT_OF_EACH, { each: subject.outputs.map(({ text }, i) => `${text.trim()} ${number(seen.fit[i])}`).join(" · ") })}`}
          </span>
        )}
      </p>
      <div class="liw-lime">
        <section aria-label={say(W.WEIGHTS)}>
          <h3 class="liw-lime-head">
            {say(W.WEIGHTS)}{" "}
            <span class="liw-muted">
              {say(W.UNIT_PER_PIECE, { unit: unitName(subject.unit), target })}
            </span>
          </h3>
          <Ranking
            subject={subject}
            readings={readings}
            selected={pinned}
            looked={looked}
            onPin={pin}
            onLook={look}
          />
        </section>
        {all.length > 0 ? (
          <section aria-label={say(W.LINEAR_MODEL_AGAINST_THE_MODEL)}>
            <h3 class="liw-lime-head">
              {say(W.N_MASKED_TEXTS, { n: all.length })}{" "}
              <span class="liw-muted">{say(W.LINEAR_MODEL_AGAINST_MODEL)}</span>
            </h3>
            <Scatter all={all} chosen={chosen} theme={theme} onChoose={choose} />
          </section>
        ) : (
          <p class="liw-muted">{say(W.MASKED_TEXTS_NOT_KEPT)}</p>
        )}
      </div>
      <PinnedLine subject={subject} output={output} readings={readings} index={looked ?? pinned} />
      <div class="liw-lime-sample" aria-live="polite">
        {sample && (
          <>
            <p class="liw-muted">
              {say(W.MASKED_TEXT_SAYS, {
                n: sample.index + 1,
                said: number(sample.said),
                predicted: number(sample.predicted),
                proximity: sample.proximity.toFixed(2),
              })}
            </p>
            <MaskedText seen={seen} subject={subject} sample={sample.index} />
          </>
        )}
      </div>
      <div class="liw-under">
        <p class="liw-legend">
          {listed(
            [
              say(W.RIGHT_OF_ZERO_RAISES, { target }),
              readings.anyUnsure && say(W.GREY_CROSSES_ZERO),
            ],
            W.SEMICOLON,
          )}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="lime" svg={() => barsSvg(props, canvasMeasure())} />
        </div>
      </div>
    </>
  );
}

function number(value = Number.NaN): string {
  return signed(value).replace(/^\+/, "");
}

interface MaskedTextProps {
  readonly seen: Neighbourhood;
  readonly subject: Subject;
  readonly sample: number;
}

/** A text with what is off struck out. */
function MaskedText({ seen, subject, sample }: MaskedTextProps): JSX.Element {
  const feature = new Map(seen.places.map((place, i) => [place, i]));
  return (
    <span class="liw-lime-text" dir="auto">
      {subject.inputs.map(({ text, position }, i) => {
        const at = feature.get(i);
        if (at === undefined) return null;
        return seen.isOn(sample, at) ? text : <del key={position}>{text}</del>;
      })}
    </span>
  );
}

interface ScatterProps {
  readonly all: readonly Sample[];
  readonly chosen: number | null;
  readonly theme: Theme;
  readonly onChoose: (sample: number | null) => void;
}

/** A dot a masked text: up, what the linear model says; right, what the model says. */
function Scatter({ all, chosen, theme, onChoose }: ScatterProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [at, setAt] = useState<number | null>(null);
  const ends = useMemo(() => {
    const values = all.flatMap(({ said, predicted }) => [said, predicted]);
    return [Math.min(...values), Math.max(...values)] as const;
  }, [all]);
  const place = (value: number): number =>
    EDGE + ((value - ends[0]) * (SIDE - EDGE - 10)) / (ends[1] - ends[0] || 1);
  useEffect(() => {
    const ratio = window.devicePixelRatio || 1;
    const context = canvas.current?.getContext("2d");
    if (!canvas.current || !context) return;
    canvas.current.width = canvas.current.height = SIDE * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    draw(context, all, place, ends, theme, at ?? chosen);
  }, [all, theme, at, chosen, language()]);
  const near = (x: number, y: number): number | null => {
    let [best, nearest] = [null as number | null, REACH];
    for (const { index, said, predicted } of all) {
      const distance = Math.hypot(place(said) - x, SIDE - place(predicted) - y);
      if (distance < nearest) [best, nearest] = [index, distance];
    }
    return best;
  };
  /** From near to far, as the arrows go. */
  const order = useMemo(
    () => [...all].sort((a, b) => b.proximity - a.proximity).map(({ index }) => index),
    [all],
  );
  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: it takes keys
    <canvas
      ref={canvas}
      class="liw-lime-scatter"
      tabIndex={0}
      role="application"
      aria-label={say(W.SCATTER_KEYS, {
        n: all.length,
      })}
      data-lm-suppress-shortcuts="true"
      style={{ width: `${SIDE}px`, height: `${SIDE}px` }}
      onPointerMove={(event) => setAt(near(event.offsetX, event.offsetY))}
      onPointerLeave={() => setAt(null)}
      onClick={(event) => {
        const found = near(event.offsetX, event.offsetY);
        onChoose(found === chosen ? null : found);
      }}
      onKeyDown={(event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (event.key === "Escape") onChoose(null);
        else if (step === undefined) return;
        else {
          const from = chosen === null ? -1 : order.indexOf(chosen);
          onChoose(order[clamp(from + step, 0, order.length - 1)] ?? null);
        }
        event.preventDefault();
        event.stopPropagation();
      }}
    />
  );
}

function draw(
  context: CanvasRenderingContext2D,
  all: readonly Sample[],
  place: (value: number) => number,
  [low, high]: readonly [number, number],
  theme: Theme,
  marked: number | null,
): void {
  const palette = PALETTES[theme];
  const ink = css(palette.ink);
  context.clearRect(0, 0, SIDE, SIDE);
  context.strokeStyle = context.fillStyle = ink;
  context.font = "11px system-ui, sans-serif";
  context.globalAlpha = 0.35;
  context.strokeRect(EDGE - 6, 4, SIDE - EDGE, SIDE - EDGE + 2);
  context.setLineDash([4, 3]);
  context.beginPath();
  context.moveTo(place(low), SIDE - place(low));
  context.lineTo(place(high), SIDE - place(high));
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 0.75;
  context.fillText(number(low), EDGE - 6, SIDE - 18);
  context.textAlign = "right";
  context.fillText(number(high), SIDE - 6, SIDE - 18);
  context.textAlign = "center";
  context.fillText(say(W.MODEL_SAYS), (SIDE + EDGE) / 2, SIDE - 18);
  context.save();
  context.translate(14, (SIDE - EDGE) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(say(W.LINEAR_MODEL_SAYS), 0, 0);
  context.restore();
  const dot = ({ said, predicted }: Sample, radius: number): void => {
    context.beginPath();
    context.arc(place(said), SIDE - place(predicted), radius, 0, 7);
  };
  context.fillStyle = css(over(palette.lowers, 0.8, palette.paper));
  for (const sample of all) {
    context.globalAlpha = 0.12 + 0.7 * sample.proximity;
    dot(sample, 1.5 + 2 * sample.proximity);
    context.fill();
  }
  context.globalAlpha = 1;
  context.lineWidth = 2;
  const [whole] = all;
  if (whole) {
    dot(whole, 5);
    context.fillStyle = css(palette.raises);
    context.fill();
  }
  const shown = all[marked ?? -1];
  if (shown) {
    dot(shown, 6);
    context.stroke();
  }
}

type Column = "index" | "said" | "predicted" | "proximity" | "off";

/** The masked texts as a table, a page at a time. */
function Masked(props: StageProps): JSX.Element | null {
  const { connection, subject } = props;
  const { seen, all, chosen } = useSamples(props);
  const [by, setBy] = useState<Column>("proximity");
  const [down, setDown] = useState(true);
  const [page, setPage] = useState(0);
  if (seen === null || all.length === 0) return null;
  const order = [...all].sort((a, b) => (a[by] - b[by]) * (down ? -1 : 1) || a.index - b.index);
  const decimals = decimalsFor(Math.max(...all.slice(0, 200).map(({ said }) => Math.abs(said))));
  const heads: [Column, string][] = [
    ["index", "#"],
    ["said", say(W.MODEL)],
    ["predicted", say(W.LINEAR_MODEL)],
    ["proximity", say(W.PROXIMITY)],
    ["off", say(W.OFF)],
  ];
  const pages = Math.ceil(order.length / PAGE);
  return (
    <Fold title={say(W.MASKED_TEXTS_N, { n: all.length })}>
      <div class="liw-fold-body">
        {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
        <div class="liw-table-box" role="group" aria-label={say(W.MASKED_TEXTS)} tabIndex={0}>
          <table class="liw-table">
            <thead>
              <tr>
                {heads.map(([name, title]) => (
                  <th
                    key={name}
                    scope="col"
                    aria-sort={name !== by ? "none" : down ? "descending" : "ascending"}
                  >
                    <button
                      type="button"
                      class="liw-sort"
                      onClick={() => {
                        setDown(name === by ? !down : name !== "index");
                        setBy(name);
                        setPage(0);
                      }}
                    >
                      {title}
                      <span aria-hidden="true">{name !== by ? "" : down ? "↓" : "↑"}</span>
                    </button>
                  </th>
                ))}
                <th scope="col">{say(W.TEXT)}</th>
              </tr>
            </thead>
            <tbody>
              {order.slice(page * PAGE, (page + 1) * PAGE).map((sample) => (
                <tr key={sample.index} data-chosen={sample.index === chosen || undefined}>
                  <td>
                    <button
                      type="button"
                      class="liw-sort"
                      aria-pressed={sample.index === chosen}
                      onClick={() =>
                        connection.set("sample", sample.index === chosen ? null : sample.index)
                      }
                    >
                      {sample.index + 1}
                    </button>
                  </td>
                  <td>{aligned(sample.said, decimals)}</td>
                  <td>{aligned(sample.predicted, decimals)}</td>
                  <td>{sample.proximity.toFixed(3)}</td>
                  <td>{percent(sample.off / seen.places.length)}</td>
                  <td>
                    <MaskedText seen={seen} subject={subject} sample={sample.index} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
        <div class="liw-toolbar">
          <button
            type="button"
            class="liw-button"
            disabled={page === 0}
            onClick={() => setPage(page - 1)}
          >
            {say(W.PREVIOUS)}
          </button>
          <span class="liw-muted">{say(W.AT_OF_N, { at: page + 1, n: pages })}</span>
          <button
            type="button"
            class="liw-button"
            disabled={page >= pages - 1}
            onClick={() => setPage(page + 1)}
          >
            {say(W.NEXT)}
          </button>
          <CopyButton
            label={say(W.COPY_CSV)}
            file="neighbourhood.csv"
            make={() => samplesCsv(subject, seen, all)}
          />
        </div>
      </div>
    </Fold>
  );
}
