/** Many texts: a row a word, a dot a text; or a bar a word; and one text in full. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { type By, type Collection, decode, groups, sentence, textOf } from "../collection";
import type { Theme } from "../colour";
import { signed, unitName } from "../format";
import { canvasMeasure } from "../picture";
import { read } from "../readings";
import { swarmSvg } from "../swarm_picture";
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
] as const;

const MORE = 30;

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
    <p class="liw-waiting liw-muted">There is nothing to show.</p>
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
  const all = useMemo(() => groups(data, by, output, least), [data, by, output, least]);
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
  const what = { word: "words", group: "groups", position: "tenths of the text", value: "numbers" }[
    by.kind
  ];
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
      {rows.length === 0 && <p class="liw-waiting liw-muted">No {what} in so many texts.</p>}
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
          {bars
            ? `Mean |${unit}| for ${target} over the texts that have it, with 95 % interval over texts; the arrow says which way it pushes on average.`
            : `A dot a text${given ? ", all of its scores together" : ""}; ${unit} ${effect ? "of" : "for"} ${target}${effect ? "; left of zero lowers it, right raises it" : ", not an effect"}. ${colourWords(data, output, target, colourBy)}`}
        </p>
        <div class="liw-toolbar">
          {!given && (
            <Toggle
              pressed={bars}
              onPress={() => traits.set("plot", bars ? "dots" : "bars")}
              label="Bars"
            />
          )}
          {!bars && !given && (
            <Toggle
              pressed={byCount}
              onPress={() => traits.set("color", byCount ? "output" : "count")}
              label="Colour by count"
            />
          )}
          {by.kind === "word" && (
            <label class="liw-limit">
              in at least
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
              texts
            </label>
          )}
          {all.length > rows.length && (
            <button type="button" class="liw-button" onClick={() => setMore(more + MORE)}>
              {`Show more of ${all.length} ${what}`}
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
        <Fold title="Table">
          <GroupTable rows={all} unit={data.unit} />
        </Fold>
      </div>
    </>
  );
}

/** What an output is called; texts may each have been asked about their own. */
function targetOf(data: Collection, output: number): string {
  const name = data.outputs[output]?.trim();
  return name ? `“${name}”` : "each text’s own target";
}

function colourWords(data: Collection, output: number, target: string, by: ColourBy): string {
  if (by === "count") return "Colour: darker, the more often the text has it.";
  if (by === "value") return "Colour: blue, the text has less of it than most; orange, more.";
  const { middle, limit } = scaleOf(saidOf(data, output));
  const ends = `blue ${number(middle - limit)}, grey ${number(middle)} (the middle text), orange ${number(middle + limit)}`;
  return `Colour: what the model says for ${target}: ${ends}.`;
}

function title(data: Collection): string {
  const count = data.texts.length.toLocaleString("en");
  return `What matters in ${count} ${data.texts.length === 1 ? "text" : "texts"}`;
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
        <p class="liw-muted">
          Point at a dot for its value; click it, or press Enter on it, to read its text here.
        </p>
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
        <b>Text {text + 1}</b>
        <span class="liw-muted">
          {`${targetOf(data, output)}: ${number(data.base[at])} → ${number(data.said[at])} ${unitName(data.unit)}`}
        </span>
        <span class="liw-toolbar">
          <button
            type="button"
            class="liw-button"
            aria-label="Previous text"
            disabled={text === 0}
            onClick={() => onShow(text - 1)}
          >
            ←
          </button>
          <button
            type="button"
            class="liw-button"
            aria-label="Next text"
            disabled={text === data.texts.length - 1}
            onClick={() => onShow(text + 1)}
          >
            →
          </button>
          <button type="button" class="liw-button" onClick={() => onShow(null)}>
            Close
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
          ? `${signed(reading.score)} ${unitName(data.unit)}, rank ${reading.rank} of ${readings.ranked.length}`
          : "Point at a piece for its value."}
      </p>
    </div>
  );
}
