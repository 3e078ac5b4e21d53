/** Bars: the pieces of one text by the size of their score, with whiskers. */

import type { JSX } from "preact";
import { barsSvg } from "../bars_picture";
import type { Connection } from "../connect";
import { unitName } from "../format";
import { canvasMeasure } from "../picture";
import { CopyPicture } from "./copy";
import { Frame, type StageProps } from "./frame";
import { Outputs } from "./outputs";
import { Ranking } from "./ranking";
import { TableTwin } from "./table";
import { PinnedLine } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output"] as const;

export function BarView({ connection }: { connection: Connection }): JSX.Element {
  return <Frame connection={connection} Stage={Stage} Choice={Outputs} Table={TableTwin} />;
}

function Stage(props: StageProps): JSX.Element {
  const { subject, output, readings, target, pinned, pin, looked, look } = props;
  if (readings.ranked.length === 0) {
    return <p class="liw-waiting liw-muted">Waiting for the first scores…</p>;
  }
  const effects = subject.unit !== "score";
  const picture = (): string => barsSvg(props, canvasMeasure());
  return (
    <>
      <Ranking
        subject={subject}
        readings={readings}
        selected={pinned}
        looked={looked}
        onPin={pin}
        onLook={look}
      />
      <PinnedLine subject={subject} output={output} readings={readings} index={looked ?? pinned} />
      <div class="liw-under">
        <p class="liw-legend">
          {unitName(subject.unit)} {effects ? "of" : "for"} {target}
          {effects ? "; left of zero lowers it, right raises it" : ", not an effect"}
          {readings.anyUnsure && "; grey: 95 % interval crosses zero"}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="bars" svg={picture} />
        </div>
      </div>
    </>
  );
}
