/** Many texts: a row a word, a dot a text; or a bar a word; and one text in full. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { type By, type Collection, decode, groups, sentence, textOf } from "../collection";
import type { Theme } from "../colour";
import type { Connection } from "../connect";
import { magnitude, signed, unitName } from "../format";
import { canvasMeasure } from "../picture";
import { read, targetName } from "../readings";
import { swarmSvg } from "../swarm_picture";
import { watchTheme } from "../theme";
import { CopyPicture } from "./copy";
import { Fold } from "./fold";
import { Caution, Facts } from "./footer";
import { asIndex, useChanges } from "./frame";
import { GroupBars } from "./group_bars";
import { GroupTable } from "./group_table";
import { Outputs } from "./outputs";
import { Swarm } from "./swarm";
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

export function BeeswarmView({ connection }: { connection: Connection }): JSX.Element {
  useChanges(connection);
  const root = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState<Theme>("light");
  useEffect(() => (root.current ? watchTheme(root.current, setTheme) : undefined), []);
  const given = connection.get("data");
  const data = useMemo(() => decode(given), [given]);
  return (
    <div class="liw" ref={root} data-theme={theme} style={{ colorScheme: theme }}>
      {data === null ? (
        <p class="liw-waiting liw-muted">There is nothing to show.</p>
      ) : (
        <Texts connection={connection} data={data} theme={theme} />
      )}
    </div>
  );
}

interface TextsProps {
  readonly connection: Connection;
  readonly data: Collection;
  readonly theme: Theme;
}

function Texts({ connection, data, theme }: TextsProps): JSX.Element {
  const [more, setMore] = useState(0);
  const by = connection.get("by") as By;
  const output = asIndex(connection.get("output")) ?? 0;
  const least = asIndex(connection.get("least")) ?? 1;
  const all = useMemo(() => groups(data, by, output, least), [data, by, output, least]);
  const rows = useMemo(
    () => all.slice(0, (asIndex(connection.get("rows")) ?? 15) + more),
    [all, more, connection.get("rows")],
  );
  const selected = asIndex(connection.get("selected"));
  const byCount = connection.get("color") === "count";
  const bars = connection.get("plot") === "bars";
  const effect = data.unit !== "score";
  const name = data.outputs[output] ?? "";
  const target = `“${name.trim()}”`;
  const what = by.kind === "word" ? "words" : by.kind === "group" ? "groups" : "tenths of the text";
  const picture = (): string =>
    swarmSvg(
      { data, rows, output, theme, target, bars, byCount, title: title(data) },
      canvasMeasure(),
    );
  const show = (text: number | null): void => connection.set("selected", text);
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
        onShow={(i) => connection.set("output", i)}
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
            byCount={byCount}
            selected={selected}
            onSelect={show}
          />
        ))}
      <div class="liw-under">
        <p class="liw-legend">
          {bars
            ? `Mean |${unitName(data.unit)}| for ${target} over the texts that have it, with 95 % interval over texts; the arrow says which way it pushes on average.`
            : `A dot a text; ${unitName(data.unit)} ${effect ? "of" : "for"} ${target}${effect ? "; left of zero lowers it, right raises it" : ", not an effect"}. Colour: ${byCount ? "darker, the more often the text has it" : `blue, the model says less ${target} of the text than of most; orange, more`}.`}
        </p>
        <div class="liw-toolbar">
          <Toggle
            pressed={bars}
            onPress={() => connection.set("plot", bars ? "dots" : "bars")}
            label="Bars"
          />
          {!bars && (
            <Toggle
              pressed={byCount}
              onPress={() => connection.set("color", byCount ? "output" : "count")}
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
                  if (value >= 1) connection.set("least", value);
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
      <section class="liw-bee-text" aria-label="Text">
        <p class="liw-muted">Click a dot, or press Enter on it, to read its text here.</p>
      </section>
    );
  }
  const { subject, row } = shown;
  const readings = read(row, subject.inputs.length);
  const at = output * data.texts.length + text;
  const reading = piece === null ? undefined : readings.all[piece];
  return (
    <section class="liw-bee-text" aria-label={`Text ${text + 1}`}>
      <p class="liw-bee-head">
        <b>Text {text + 1}</b>
        <span class="liw-muted">
          {`${targetName(subject, 0)}: ${number(data.base[at])} → ${number(data.said[at])} ${unitName(data.unit)}`}
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
    </section>
  );
}

function number(value = Number.NaN): string {
  return `${value < 0 ? "−" : ""}${magnitude(value)}`;
}
