/** Many texts: a row a word, a dot a text; or a bar a word; and one text in full. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type By, type Collection, decode, groups, sentence, textOf } from "../collection";
import type { Theme } from "../colour";
import { signed, unitName } from "../format";
import { canvasMeasure } from "../picture";
import { read } from "../readings";
import { language, phrase, say } from "../say";
import { swarmSvg } from "../swarm_picture";
import * as W from "../words";
import { CollectionFrame, type Traits } from "./collection_frame";
import { CopyPicture } from "./copy";
import { Fold } from "./fold";
import { Caution, Facts } from "./footer";
import { asIndex } from "./frame";
import { GroupBars } from "./group_bars";
import { GroupTable } from "./group_table";
import { Outputs } from "./outputs";
import { type ColourBy, number, Swarm, saidOf, scaleOf } from "./swarm";
import { TokenText } from "./tokens";

/** Traits whose changes the view wants to hear of. */
export const TRAITS = [
  "data",
  "by",
  "selected",
  "output",
  "plot",
  "color",
  "least",
  "rows",
  "words",
] as const;

const MORE = 30;
const WHAT: Record<By["kind"], string> = {
  word: W.WORDS,
  group: W.GROUPS,
  position: W.TENTHS_OF_THE_TEXT,
  value: W.NUMBERS,
};

export function BeeswarmView({ traits }: { traits: Traits }): JSX.Element {
  return (
    <CollectionFrame traits={traits}>
      {(theme) => <Decoded traits={traits} theme={theme} />}
    </CollectionFrame>
  );
}

function Decoded({ traits, theme }: Omit<TextsProps, "data">): JSX.Element {
  const given = traits.get("data");
  const data = useMemo(() => decode(given), [given]);
  return data === null ? (
    <p class="liw-waiting liw-muted">{say(W.THERE_IS_NOTHING_TO_SHOW)}</p>
  ) : (
    <Texts traits={traits} data={data} theme={theme} />
  );
}

interface TextsProps {
  readonly traits: Traits;
  readonly data: Collection;
  readonly theme: Theme;
}

function Texts({ traits, data, theme }: TextsProps): JSX.Element {
  const [more, setMore] = useState(0);
  const by = traits.get("by") as By;
  const output = asIndex(traits.get("output")) ?? 0;
  const least = asIndex(traits.get("least")) ?? 1;
  const all = useMemo(() => groups(data, by, output, least), [data, by, output, least, language()]);
  const rows = useMemo(
    () => all.slice(0, (asIndex(traits.get("rows")) ?? 15) + more),
    [all, more, traits.get("rows")],
  );
  const selected = asIndex(traits.get("selected"));
  const given = by.kind === "value";
  const byCount = traits.get("color") === "count";
  const colourBy: ColourBy = given ? "value" : byCount ? "count" : "output";
  const bars = !given && traits.get("plot") === "bars";
  const effect = data.unit !== "score";
  const target = targetOf(data, output);
  const unit = unitName(data.unit);
  const what = say(WHAT[by.kind]);
  const picture = (): string =>
    swarmSvg(
      { data, rows, output, theme, target, bars, colourBy, title: title(data) },
      canvasMeasure(),
    );
  const show = (text: number | null): void => traits.set("selected", text);
  const outputs = data.outputs.map((text, i) => ({
    text,
    start: 0,
    end: 0,
    special: false,
    role: null,
    position: i,
    size: 1,
  }));
  return (
    <>
      <div class="liw-head">
        <p class="liw-eyebrow">{data.title}</p>
        <h2 class="liw-title">{title(data)}</h2>
        <p class="liw-sentence">{sentence(rows, target, effect)}</p>
      </div>
      <Outputs
        outputs={outputs}
        shown={output}
        known={() => true}
        onShow={(i) => traits.set("output", i)}
      />
      {rows.length === 0 && (
        <p class="liw-waiting liw-muted">{say(W.NOTHING_IN_SO_MANY, { what })}</p>
      )}
      {rows.length > 0 &&
        (bars ? (
          <GroupBars rows={rows} unit={data.unit} />
        ) : (
          <Swarm
            data={data}
            rows={rows}
            output={output}
            theme={theme}
            target={target}
            colourBy={colourBy}
            selected={selected}
            onSelect={show}
          />
        ))}
      <div class="liw-under">
        <p class="liw-legend">
          {bars ? say(W.BARS_LEGEND, { unit, target }) : dotWords(data, output, target, colourBy)}
        </p>
        <div class="liw-toolbar">
          {!given && (
            <Toggle
              pressed={bars}
              onPress={() => traits.set("plot", bars ? "dots" : "bars")}
              label={say(W.BARS)}
            />
          )}
          {!bars && !given && (
            <Toggle
              pressed={byCount}
              onPress={() => traits.set("color", byCount ? "output" : "count")}
              label={say(W.COLOUR_BY_COUNT)}
            />
          )}
          {by.kind === "word" && (
            // biome-ignore lint/a11y/noLabelWithoutControl: the input is within the words
            <label class="liw-limit">
              {phrase(W.IN_AT_LEAST_N_TEXTS, {
                n: (
                  <input
                    type="number"
                    min="1"
                    step="1"
                    value={least}
                    onChange={({ currentTarget }) => {
                      const value = Math.round(currentTarget.valueAsNumber);
                      if (value >= 1) traits.set("least", value);
                    }}
                  />
                ),
              })}
            </label>
          )}
          {all.length > rows.length && (
            <button type="button" class="liw-button" onClick={() => setMore(more + MORE)}>
              {say(W.SHOW_MORE_OF_N_WHAT, { n: all.length, what })}
            </button>
          )}
          <CopyPicture name="texts" svg={picture} />
        </div>
      </div>
      {(!bars || selected !== null) && (
        <OneText data={data} output={output} text={selected} onShow={show} />
      )}
      <div class="liw-foot">
        <Facts facts={data.facts} />
        <Caution text={data.caution} />
      </div>
      <div class="liw-folds">
        <Fold title={say(W.TABLE)}>
          <GroupTable rows={all} unit={data.unit} />
        </Fold>
      </div>
    </>
  );
}

/** What an output is called; texts may each have been asked about their own. */
function targetOf(data: Collection, output: number): string {
  const name = data.outputs[output]?.trim();
  return name ? `“${name}”` : say(W.OWN_TARGET);
}

/** What a dot is, what its place says, and what its colour. */
function dotWords(data: Collection, output: number, target: string, by: ColourBy): string {
  const unit = unitName(data.unit);
  return [
    by === "value" ? say(W.A_DOT_ALL_SCORES) : say(W.A_DOT_A_TEXT),
    data.unit === "score"
      ? say(W.DOTS_NOT_AN_EFFECT, { unit, target })
      : say(W.DOTS_EFFECT, {
          unit,
          target,
        }),
    colourWords(data, output, target, by),
  ].join(say(W.BETWEEN_SENTENCES));
}

function colourWords(data: Collection, output: number, target: string, by: ColourBy): string {
  if (by === "count") return say(W.COLOUR_IS_COUNT);
  if (by === "value") return say(W.COLOUR_IS_VALUE);
  const { middle, limit } = scaleOf(saidOf(data, output));
  return say(W.COLOUR_IS_OUTPUT, {
    target,
    low: number(middle - limit),
    middle: number(middle),
    high: number(middle + limit),
  });
}

function title(data: Collection): string {
  const n = data.texts.length;
  return n === 1
    ? say(W.WHAT_MATTERS_IN_1_TEXT)
    : say(W.WHAT_MATTERS_IN_N_TEXTS, { n: n.toLocaleString("en") });
}

interface ToggleProps {
  readonly pressed: boolean;
  readonly onPress: () => void;
  readonly label: string;
}

function Toggle({ pressed, onPress, label }: ToggleProps): JSX.Element {
  return (
    <button type="button" class="liw-button" aria-pressed={pressed} onClick={onPress}>
      {label}
    </button>
  );
}

interface OneTextProps {
  readonly data: Collection;
  readonly output: number;
  readonly text: number | null;
  readonly onShow: (text: number | null) => void;
}

/** The text of the chosen dot, as the highlighter draws it; its place is kept free. */
function OneText({ data, output, text, onShow }: OneTextProps): JSX.Element {
  const [cursor, setCursor] = useState(0);
  const [piece, setPiece] = useState<number | null>(null);
  const shown = useMemo(
    () => (text === null ? null : textOf(data, text)[output]),
    [data, text, output],
  );
  if (shown === null || shown === undefined || text === null) {
    return (
      <div class="liw-bee-text">
        <p class="liw-muted">{say(W.POINT_AT_A_DOT)}</p>
      </div>
    );
  }
  const { subject, row } = shown;
  const readings = read(row, subject.inputs.length);
  const at = output * data.texts.length + text;
  const reading = piece === null ? undefined : readings.all[piece];
  return (
    <div class="liw-bee-text">
      <p class="liw-bee-head">
        <b>{say(W.TEXT_N, { n: text + 1 })}</b>
        <span class="liw-muted">
          {`${targetOf(data, output)}: ${number(data.base[at])} → ${number(data.said[at])} ${unitName(data.unit)}`}
        </span>
        <span class="liw-toolbar">
          <button
            type="button"
            class="liw-button"
            aria-label={say(W.PREVIOUS_TEXT)}
            disabled={text === 0}
            onClick={() => onShow(text - 1)}
          >
            ←
          </button>
          <button
            type="button"
            class="liw-button"
            aria-label={say(W.NEXT_TEXT)}
            disabled={text === data.texts.length - 1}
            onClick={() => onShow(text + 1)}
          >
            →
          </button>
          <button type="button" class="liw-button" onClick={() => onShow(null)}>
            {say(W.CLOSE)}
          </button>
        </span>
      </p>
      <TokenText
        subject={subject}
        output={0}
        readings={readings}
        limit={readings.largest}
        selected={null}
        cursor={Math.min(cursor, subject.inputs.length - 1)}
        onHover={setPiece}
        onFocus={(index) => {
          setPiece(index);
          if (index !== null) setCursor(index);
        }}
        onPin={() => {}}
      />
      <p class="liw-pinned liw-muted">
        {reading && !Number.isNaN(reading.score)
          ? `${signed(reading.score)} ${unitName(data.unit)} · ${say(W.RANK_OF, { rank: reading.rank, count: readings.ranked.length })}`
          : say(W.POINT_ONLY)}
      </p>
    </div>
  );
}
