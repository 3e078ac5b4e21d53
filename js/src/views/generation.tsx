/** What was written, and which pieces of the prompt led to each of its tokens. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { clamp } from "../clamp";
import type { Connection } from "../connect";
import { matrixCsv } from "../csv";
import { floats } from "../decode";
import { ordinal, percent, signed, spoken, unitName, visible } from "../format";
import { canAdd, together } from "../generation";
import { largestOf } from "../matrix";
import { matrixSvg } from "../matrix_picture";
import type { Alternatives, AskContrast, ErrorInfo, Subject } from "../protocol.gen";
import { read, scoreWords, Z95 } from "../readings";
import { language, listed, phrase, say } from "../say";
import type { State } from "../store";
import * as W from "../words";
import { CopyButton, CopyPicture } from "./copy";
import { Failure } from "./footer";
import { asIndex, Frame, type StageProps, useChanges } from "./frame";
import { type Cell, Matrix, raster } from "./matrix";
import { TableTwin } from "./table";
import { TokenText } from "./tokens";

/** Traits whose changes the view wants to hear of. */
export const TRAITS = [
  "selected",
  "output",
  "span",
  "alternatives",
  "contrasts",
  "contrast_shown",
  "failure",
  "words",
] as const;

export function GenerationView({ connection }: { connection: Connection }): JSX.Element {
  useChanges(connection);
  const main = connection.state();
  const { from, count } = chosen(connection, main);
  const contrast = connection.others()[asIndex(connection.get("contrast_shown")) ?? -1];
  const span = useMemo(() => together(main, from, count), [main, from, count]);
  return (
    <Frame
      connection={connection}
      state={contrast?.subject ? contrast : span}
      Stage={Stage}
      Table={TableTwin}
    />
  );
}

/** Which outputs are explained. */
function chosen(connection: Connection, main: State): { from: number; count: number } {
  const outputs = main.subject?.outputs.length ?? 1;
  const from = Math.min(asIndex(connection.get("output")) ?? 0, outputs - 1);
  const span = canAdd(main) ? (asIndex(connection.get("span")) ?? 1) : 1;
  return { from, count: clamp(span, 1, outputs - from) };
}

function Stage(props: StageProps): JSX.Element {
  const { connection, state, subject, output, readings, target, pinned, looked, pin, look } = props;
  const [cursor, setCursor] = useState(0);
  const [cell, setCell] = useState<Cell | null>(null);
  const main = connection.state();
  const { from, count } = chosen(connection, main);
  const { rows } = main;
  const about = main.subject ?? subject;
  const show = (first: number, many: number): void => {
    connection.set("contrast_shown", null);
    connection.set("span", many);
    props.show(first);
  };
  const failure = connection.get("failure") as ErrorInfo | undefined;
  const column = looked ?? pinned;
  const row = cell
    ? { cell, subject: about, rows }
    : column === null
      ? null
      : { cell: { output, input: column }, subject, rows: state.rows };
  const picture = (): string =>
    matrixSvg({ ...props, subject: about, rows }, raster(rows, sizeOf(about), props.theme));
  return (
    <>
      <div class="liw-gen">
        <span class="liw-role" aria-hidden="true">
          {say(W.PROMPT)}
        </span>
        <TokenText
          subject={subject}
          output={output}
          readings={readings}
          limit={readings.largest}
          selected={pinned}
          looked={looked}
          cursor={pinned ?? Math.min(cursor, subject.inputs.length - 1)}
          onHover={look}
          onFocus={(index) => {
            look(index);
            if (index !== null) setCursor(index);
          }}
          onPin={pin}
        />
        <span class="liw-role" aria-hidden="true">
          {say(W.WRITTEN)}
        </span>
        <Written main={main} from={from} count={count} column={column} onShow={show} />
      </div>
      <Candidates connection={connection} main={main} from={from} count={count} />
      {failure?.name && <Failure error={failure} />}
      <p class={row === null ? "liw-pinned liw-muted" : "liw-pinned"} aria-live="polite">
        {row === null ? say(W.POINT_AT_A_PIECE) : words(row.cell, row.subject, row.rows)}
      </p>
      <p class="liw-legend">
        <span>
          {signed(-readings.largest)} <span class="liw-scale-bar" /> {signed(readings.largest)}
        </span>
        {listed(
          [
            say(W.BLUE_LOWERS, {
              unit: unitName(subject.unit),
              target,
            }),
            readings.anyUnsure && say(W.HATCHED_CROSSES_ZERO),
          ],
          W.SEMICOLON,
        )}
      </p>
      {about.outputs.length > 1 && (
        <section class="liw-gen-matrix" aria-label={say(W.ALL_OUTPUTS)}>
          <h3 class="liw-gen-head">{say(W.WRITTEN_BY_PROMPT)}</h3>
          <Matrix
            subject={about}
            rows={rows}
            theme={props.theme}
            from={from}
            count={count}
            column={column}
            onLook={(next) => {
              setCell(next);
              look(next?.input ?? null);
            }}
            onPick={(cell) => {
              show(cell.output, 1);
              pin(cell.input);
            }}
          />
          <div class="liw-toolbar">
            <CopyPicture name="matrix" svg={picture} />
            <CopyButton
              label={say(W.COPY_MATRIX_AS_CSV)}
              file="matrix.csv"
              make={() => matrixCsv(about, rows)}
            />
          </div>
        </section>
      )}
    </>
  );
}

function sizeOf({ inputs, outputs }: { inputs: readonly unknown[]; outputs: readonly unknown[] }) {
  return { columns: inputs.length, rows: outputs.length };
}

interface WrittenProps {
  readonly main: State;
  readonly from: number;
  readonly count: number;
  /** The piece of the prompt by whose push the tokens are tinted. */
  readonly column: number | null;
  readonly onShow: (from: number, count: number) => void;
}

/** The written tokens: a click or Enter chooses one, with Shift all from the chosen one on. */
function Written({ main, from, count, column, onShow }: WrittenProps): JSX.Element | null {
  const [cursor, setCursor] = useState(from);
  const { subject, rows } = main;
  const limit = useMemo(() => largestOf(rows), [rows]);
  const turned = useMemo(() => subject && { ...subject, inputs: subject.outputs }, [subject]);
  const labels = useMemo(
    () =>
      turned?.inputs.map(({ text }, i) =>
        listed([`“${spoken(text)}”`, say(W.NTH_WRITTEN_TOKEN, { nth: ordinal(i + 1) })]),
      ),
    [turned, language()],
  );
  if (!turned || !labels) return null;
  const scores = Float32Array.from(rows, (row) => row?.scores[column ?? -1] ?? Number.NaN);
  return (
    <TokenText
      name={say(W.WRITTEN)}
      subject={turned}
      output={0}
      labels={labels}
      readings={read({ scores, error: null, seq: 0 }, scores.length)}
      limit={limit}
      selected={from}
      span={count}
      cursor={cursor}
      onHover={() => {}}
      onFocus={(index) => index !== null && setCursor(index)}
      onPin={(index, extend) => {
        const to = index ?? from;
        const joins = extend && canAdd(main);
        onShow(joins ? Math.min(from, to) : to, joins ? Math.abs(to - from) + 1 : 1);
      }}
    />
  );
}

/** One cell in words. */
function words({ output, input }: Cell, subject: Subject, rows: State["rows"]): string {
  const score = rows[output]?.scores[input] ?? Number.NaN;
  const margin = Z95 * (rows[output]?.error?.[input] ?? Number.NaN);
  const [from, to] = [subject.inputs[input], subject.outputs[output]];
  const pair = `“${spoken(from?.text ?? "")}” → “${spoken(to?.text ?? "")}”`;
  return listed([
    Number.isNaN(score)
      ? `${pair}: ${say(W.NO_SCORE)}`
      : `${pair}: ${scoreWords({ score, margin }, subject.unit)}`,
    Math.abs(score) < margin ? say(W.CROSSES_ZERO) : "",
  ]);
}

interface CandidatesProps {
  readonly connection: Connection;
  readonly main: State;
  readonly from: number;
  readonly count: number;
}

/** What the model nearly wrote there; a click explains why it did not. */
function Candidates({ connection, main, from, count }: CandidatesProps): JSX.Element | null {
  const offered = connection.get("alternatives") as Partial<Alternatives> | undefined;
  const tokens = offered?.tokens?.[from];
  const said = main.subject?.outputs[from];
  if (tokens === undefined || said === undefined || count > 1) return null;
  const width = tokens.length;
  const chances = floats(offered?.log_probs).subarray(from * width, (from + 1) * width);
  const begun = (connection.get("contrasts") ?? []) as [number, number][];
  const chance = (i: number): string => percent(Math.exp(chances[i] ?? Number.NaN));
  const own = tokens.indexOf(said.text);
  return (
    <p class="liw-toolbar liw-gen-candidates">
      <span class="liw-muted">
        {phrase(W.WHY_TOKEN_RATHER_THAN, {
          token: (
            <>
              “<bdi>{spoken(said.text)}</bdi>”{own < 0 ? "" : ` (${chance(own)})`}
            </>
          ),
        })}
      </span>
      {tokens.map((token, i) => {
        if (i === own) return null;
        const known = begun.findIndex(([output, other]) => output === from && other === i);
        const shown = known >= 0 && connection.get("contrast_shown") === known;
        const status = connection.others()[known]?.progress?.status;
        const failed = status === "failed" || status === "cancelled";
        const ask: AskContrast = { type: "contrast", output: from, alternative: i };
        return (
          <button
            key={i}
            type="button"
            class="liw-button"
            aria-pressed={shown}
            disabled={known < 0 && !connection.live}
            onClick={() => {
              if (known < 0 || (failed && !shown && connection.live)) connection.ask(ask);
              else connection.set("contrast_shown", shown ? null : known);
            }}
          >
            <bdi>{visible(token.trim() === "" ? token : token.trim())}</bdi> {chance(i)}
          </button>
        );
      })}
      {connection.hearing === "busy" && (
        <span class="liw-muted" role="status">
          {say(W.KERNEL_BUSY)}
        </span>
      )}
    </p>
  );
}
