/** The running text, each token tinted by its score; the answer first, then its legend. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Connection } from "../connect";
import { colourLimit, isPartial, type Readings } from "../readings";
import type { State } from "../store";
import { Frame, type StageProps } from "./frame";
import { Legend } from "./legend";
import { Outputs } from "./outputs";
import { TableTwin } from "./table";
import { TokenText } from "./tokens";
import { Toolbar } from "./toolbar";
import { PinnedLine, Tooltip } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output", "color_limit", "words"] as const;

export function Highlighter({ connection }: { connection: Connection }): JSX.Element {
  return <Frame connection={connection} Stage={Text} Choice={Outputs} Table={TableTwin} />;
}

function Text(props: StageProps): JSX.Element {
  const { connection, state, subject, output, readings, target, pinned, looked } = props;
  const [focused, setFocused] = useState<number | null>(null);
  const [cursor, setCursor] = useState(0);
  const fixed = asLimit(connection.get("color_limit"));
  const limit = colourLimit(fixed, readings);
  const tip = (props.here ? looked : null) ?? focused;
  return (
    <>
      <div class="liw-stage">
        <TokenText
          subject={subject}
          output={output}
          readings={readings}
          limit={limit}
          selected={pinned}
          looked={props.here ? null : looked}
          cursor={pinned ?? Math.min(cursor, subject.inputs.length - 1)}
          onHover={props.look}
          onFocus={(index) => {
            setFocused(index);
            if (index !== null) setCursor(index);
          }}
          onPin={props.pin}
        />
        {tip !== null && (
          <Tooltip subject={subject} output={output} readings={readings} index={tip} />
        )}
      </div>
      <PinnedLine subject={subject} output={output} readings={readings} index={pinned} />
      <div class="liw-under">
        <Legend
          limit={limit}
          unit={subject.unit}
          target={target}
          unsure={readings.anyUnsure}
          partial={isPartial(subject, readings)}
        />
        <Toolbar
          fixed={fixed}
          suggestion={largestOf(state, readings)}
          onLimit={(value) => connection.set("color_limit", value)}
          picture={() => ({ ...props, limit, selected: pinned })}
        />
      </div>
    </>
  );
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
