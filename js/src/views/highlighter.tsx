/** The whole view, answer first: title, text, legend; then progress, facts and what is folded. */

import type { JSX } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Theme } from "../colour";
import type { Connection } from "../connect";
import { PROTOCOL, type Subject } from "../protocol.gen";
import { colourLimit, type Readings, read, targetName } from "../readings";
import { finished, type State } from "../store";
import { watchTheme } from "../theme";
import { Fold } from "./fold";
import { Caution, Facts, Failure } from "./footer";
import { Legend } from "./legend";
import { Outputs } from "./outputs";
import { outcomeWords, Progress } from "./progress";
import { Ranking } from "./ranking";
import { TableTwin } from "./table";
import { TokenText } from "./tokens";
import { Toolbar } from "./toolbar";
import { PinnedLine, Tooltip } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output", "color_limit"] as const;

interface Shown {
  readonly state: State;
  readonly selected: number | null;
  readonly output: number;
  readonly fixed: number | null;
}

export function Highlighter({ connection }: { connection: Connection }): JSX.Element {
  const shown = useConnection(connection);
  const root = useRef<HTMLDivElement>(null);
  const [theme, setTheme] = useState<Theme>("light");
  useEffect(() => (root.current ? watchTheme(root.current, setTheme) : undefined), []);
  const { foreign, subject } = shown.state;
  return (
    <div class="liw" ref={root} data-theme={theme} style={{ colorScheme: theme }}>
      {foreign !== null && <Failure error={foreignKernel(foreign)} />}
      {subject === null ? (
        <p class="liw-waiting liw-muted">
          {connection.live
            ? "Waiting for the explanation…"
            : "This page was saved before there was anything to show."}
        </p>
      ) : (
        <Explained connection={connection} shown={shown} subject={subject} theme={theme} />
      )}
    </div>
  );
}

interface ExplainedProps {
  readonly connection: Connection;
  readonly shown: Shown;
  readonly subject: Subject;
  readonly theme: Theme;
}

function Explained({ connection, shown, subject, theme }: ExplainedProps): JSX.Element {
  const { state, selected, fixed } = shown;
  const output = Math.max(0, Math.min(subject.outputs.length - 1, shown.output));
  const row = state.rows[output] ?? null;
  const readings = useMemo(() => read(row, subject.inputs.length), [row, subject]);
  const [hovered, setHovered] = useState<number | null>(null);
  const [focused, setFocused] = useState<number | null>(null);
  const [cursor, setCursor] = useState(0);
  const pinned = selected !== null && selected < subject.inputs.length ? selected : null;
  const limit = colourLimit(fixed, readings);
  const target = targetName(subject, output);
  const { progress } = state;
  const pin = (index: number | null): void => connection.set("selected", index);
  const tip = hovered ?? focused;

  return (
    <>
      <div class="liw-head">
        <p class="liw-eyebrow">{subject.method_title}</p>
        <h2 class="liw-title">
          Why <bdi>{target}</bdi>?
        </h2>
        <p class="liw-sentence">{progress?.sentences[output]}</p>
      </div>
      <Outputs
        outputs={subject.outputs}
        shown={output}
        known={(i) => (state.rows[i] ?? null) !== null}
        onShow={(i) => connection.set("output", i)}
      />
      <div class="liw-stage">
        <TokenText
          subject={subject}
          output={output}
          readings={readings}
          limit={limit}
          selected={pinned}
          cursor={pinned ?? Math.min(cursor, subject.inputs.length - 1)}
          onHover={setHovered}
          onFocus={(index) => {
            setFocused(index);
            if (index !== null) setCursor(index);
          }}
          onPin={pin}
        />
        {tip !== null && (
          <Tooltip subject={subject} output={output} readings={readings} index={tip} />
        )}
      </div>
      <PinnedLine subject={subject} output={output} readings={readings} index={pinned} />
      <div class="liw-under">
        <Legend limit={limit} unit={subject.unit} target={target} unsure={readings.anyUnsure} />
        <Toolbar
          fixed={fixed}
          suggestion={largestOf(state, readings)}
          onLimit={(value) => connection.set("color_limit", value)}
          picture={() => ({
            subject,
            output,
            readings,
            limit,
            selected: pinned,
            theme,
            note: progress === null ? "" : outcomeWords(progress),
          })}
        />
      </div>
      <div class="liw-foot">
        {progress?.error && <Failure error={progress.error} />}
        {progress && (
          <Progress
            progress={progress}
            live={connection.live}
            onCancel={() => connection.cancel()}
          />
        )}
        <Facts facts={progress?.facts ?? []} />
        <Caution text={subject.caution} />
      </div>
      <div class="liw-folds">
        <Fold title="Ranked tokens">
          <Ranking subject={subject} readings={readings} selected={pinned} onPin={pin} />
        </Fold>
        <Fold title="Table">
          <TableTwin subject={subject} readings={readings} />
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
      setWords(`Explanation ${outcomeWords(progress)}. ${progress.sentences[output] ?? ""}`);
    }
  }, [over, progress, output]);
  return (
    <p class="liw-hidden" role="status">
      {words}
    </p>
  );
}

/** Reads the connection now and whenever it changes. */
function useConnection(connection: Connection): Shown {
  const look = (): Shown => ({
    state: connection.state(),
    selected: asIndex(connection.get("selected")),
    output: asIndex(connection.get("output")) ?? 0,
    fixed: asLimit(connection.get("color_limit")),
  });
  const [shown, setShown] = useState(look);
  useEffect(() => {
    setShown(look());
    return connection.subscribe(() => setShown(look()));
  }, [connection]);
  return shown;
}

function asIndex(value: unknown): number | null {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 ? value : null;
}

function asLimit(value: unknown): number | null {
  return typeof value === "number" && value > 0 && Number.isFinite(value) ? value : null;
}

/** The largest |score| of all outputs: a scale on which all of them can be compared. */
function largestOf(state: State, shown: Readings): number {
  let largest = shown.largest;
  for (const row of state.rows) {
    for (const score of row?.scores ?? []) {
      if (Math.abs(score) > largest) largest = Math.abs(score);
    }
  }
  return largest;
}

function foreignKernel(protocol: number): { name: string; message: string } {
  return {
    name: "Versions do not match",
    message: `The kernel speaks protocol ${protocol}, this view protocol ${PROTOCOL}. Restart the kernel and run the cell again with the installed version of llm_interp_widgets.`,
  };
}
