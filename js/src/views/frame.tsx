/**
 * What every view of an attribution has around its picture: title and sentence, the outputs,
 * progress, facts and caution, what is folded, and the words for a screen reader.
 *
 * A view brings its picture as `Stage`, and may add folds of its own before the table.
 */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { clamp } from "../clamp";
import type { Theme } from "../colour";
import type { Connection } from "../connect";
import { type Links, useLinks } from "../links";
import { PROTOCOL, type Subject } from "../protocol.gen";
import { type Readings, read, targetName } from "../readings";
import { language, phrase, say, speak } from "../say";
import { finished, type State } from "../store";
import { watchTheme } from "../theme";
import * as W from "../words";
import { Fold } from "./fold";
import { Caution, Facts, Failure } from "./footer";
import type { OutputsProps } from "./outputs";
import { outcomeWords, Progress } from "./progress";

/** What a picture is drawn from, and what can be done in it. */
export interface StageProps extends Links {
  readonly connection: Connection;
  readonly state: State;
  readonly subject: Subject;
  readonly output: number;
  readonly readings: Readings;
  /** What is explained, in quotation marks. */
  readonly target: string;
  readonly pinned: number | null;
  readonly theme: Theme;
  /** How the job stands, for copies of the picture. */
  readonly note: string;
}

interface Props {
  readonly connection: Connection;
  readonly Stage: (props: StageProps) => JSX.Element;
  /** Folds of the view's own. */
  readonly Folds?: (props: StageProps) => JSX.Element | null;
  /** Lets the reader choose an output, where the picture itself does not. */
  readonly Choice?: (props: OutputsProps) => JSX.Element | null;
  /** What is shown, where it is not the connection's first job as it is. */
  readonly state?: State;
  /** The numeric twin. */
  readonly Table: (props: StageProps) => JSX.Element;
}

export function Frame(props: Props): JSX.Element {
  const { connection } = props;
  useChanges(connection);
  const root = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState<Theme>("light");
  useEffect(() => (root.current ? watchTheme(root.current, setTheme) : undefined), []);
  useEffect(() => (root.current ? connection.watch(root.current) : undefined), [connection]);
  const { foreign, subject } = props.state ?? connection.state();
  return (
    <div class="liw" ref={root} lang={language()} data-theme={theme} style={{ colorScheme: theme }}>
      {foreign !== null && <Failure error={foreignKernel(foreign)} />}
      {subject === null ? (
        <p class="liw-waiting liw-muted">
          {connection.live ? say(W.WAITING_FOR_THE_EXPLANATION) : say(W.SAVED_TOO_EARLY)}
        </p>
      ) : (
        <Explained {...props} subject={subject} theme={theme} />
      )}
    </div>
  );
}

interface ExplainedProps extends Props {
  readonly subject: Subject;
  readonly theme: Theme;
}

function Explained(given: ExplainedProps): JSX.Element {
  const { connection, subject, theme, Stage, Folds, Table, Choice } = given;
  const state = given.state ?? connection.state();
  const shown = asIndex(connection.get("output")) ?? 0;
  const output = clamp(shown, 0, subject.outputs.length - 1);
  const row = state.rows[output] ?? null;
  const readings = useMemo(() => read(row, subject.inputs.length), [row, subject]);
  const selected = asIndex(connection.get("selected"));
  const { progress } = state;
  const links = useLinks(connection, subject);
  const props: StageProps = {
    ...links,
    connection,
    state,
    subject,
    output,
    readings,
    target: targetName(subject, output),
    pinned: selected !== null && selected < subject.inputs.length ? selected : null,
    theme,
    note: progress === null ? "" : outcomeWords(progress),
  };
  return (
    <>
      <div class="liw-head">
        <p class="liw-eyebrow">{subject.method_title}</p>
        <h2 class="liw-title">{phrase(W.WHY_TARGET, { target: <bdi>{props.target}</bdi> })}</h2>
        <p class="liw-sentence">{progress?.sentences[output]}</p>
      </div>
      {Choice && (
        <Choice
          outputs={subject.outputs}
          shown={output}
          known={(i) => (state.rows[i] ?? null) !== null}
          onShow={links.show}
        />
      )}
      <Stage {...props} />
      <div class="liw-foot">
        {progress?.error && <Failure error={progress.error} />}
        {progress && (
          <Progress
            progress={progress}
            hearing={connection.hearing}
            live={connection.live}
            onCancel={() => connection.cancel()}
          />
        )}
        <Facts facts={progress?.facts ?? []} />
        <Caution text={subject.caution} />
      </div>
      <div class="liw-folds">
        {Folds && <Folds {...props} />}
        <Fold title={say(W.TABLE)}>
          <Table {...props} />
        </Fold>
      </div>
      <Announcer state={state} output={output} />
    </>
  );
}

/** Tells a screen reader how the job ended; silent about jobs that were over from the start. */
function Announcer({ state, output }: { state: State; output: number }): JSX.Element {
  const { progress } = state;
  const [words, setWords] = useState("");
  const running = useRef(false);
  const over = finished(progress);
  useEffect(() => {
    if (!over) running.current = true;
    else if (running.current && progress !== null) {
      setWords(
        say(W.EXPLANATION_ENDED, {
          outcome: outcomeWords(progress),
          sentence: progress.sentences[output] ?? "",
        }),
      );
    }
  }, [over, progress, output]);
  return (
    <p class="liw-hidden" role="status">
      {words}
    </p>
  );
}

/** Draws again whenever the connection changes, in the language of its words. */
export function useChanges(connection: Connection): void {
  speak(connection.get("words"));
  const [, redraw] = useState(0);
  useEffect(() => {
    const again = (): void => redraw((n) => n + 1);
    again();
    return connection.subscribe(again);
  }, [connection]);
}

/** A trait that should be a position; anything else is none. */
export function asIndex(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : null;
}

function foreignKernel(protocol: number): { name: string; message: string } {
  return {
    name: say(W.VERSIONS_DO_NOT_MATCH),
    message: say(W.VERSIONS_HELP, { theirs: protocol, ours: PROTOCOL }),
  };
}
