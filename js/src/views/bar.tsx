/** Bars: the pieces of one text by the size of their score, with whiskers. */

import type { JSX } from "preact";
import { barsSvg } from "../bars_picture";
import type { Connection } from "../connect";
import { unitName } from "../format";
import { canvasMeasure } from "../picture";
import { listed, say } from "../say";
import * as W from "../words";
import { CopyPicture } from "./copy";
import { Frame, type StageProps } from "./frame";
import { Outputs } from "./outputs";
import { Ranking } from "./ranking";
import { TableTwin } from "./table";
import { PinnedLine } from "./tooltip";

/** The two-way traits of the widget. */
export const TRAITS = ["selected", "output", "words"] as const;

export function BarView({ connection }: { connection: Connection }): JSX.Element {
  return <Frame connection={connection} Stage={Stage} Choice={Outputs} Table={TableTwin} />;
}

function Stage(props: StageProps): JSX.Element {
  const { subject, output, readings, target, pinned, pin, looked, look } = props;
  if (readings.ranked.length === 0) {
    return <p class="liw-waiting liw-muted">{say(W.WAITING_FOR_THE_FIRST_SCORES)}</p>;
  }
  const unit = unitName(subject.unit);
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
          {listed(
            [
              subject.unit === "score"
                ? say(W.UNIT_NOT_AN_EFFECT, { unit, target })
                : say(W.LEFT_OF_ZERO_LOWERS, {
                    unit,
                    target,
                  }),
              readings.anyUnsure && say(W.GREY_CROSSES_ZERO),
            ],
            W.SEMICOLON,
          )}
        </p>
        <div class="liw-toolbar">
          <CopyPicture name="bars" svg={picture} />
        </div>
      </div>
    </>
  );
}
