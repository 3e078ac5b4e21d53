/** The values of one token: in a tooltip beside it, and in the line under the text when pinned. */

import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { clamp } from "../clamp";
import { magnitude, percent, signed, unitName, visible } from "../format";
import type { Subject } from "../protocol.gen";
import { effect, isAbsent, type Reading, type Readings, targetName } from "../readings";
import { say } from "../say";
import * as W from "../words";
import { tokenElement } from "./tokens";

const GAP = 7;

interface Props {
  readonly subject: Subject;
  readonly output: number;
  readonly readings: Readings;
  readonly index: number;
}

/** Placed under the token, within the width of the text. */
export function Tooltip(props: Props): JSX.Element | null {
  const ref = useRef<HTMLDivElement>(null);
  const { index } = props;
  useLayoutEffect(() => {
    const tip = ref.current;
    const stage = tip?.parentElement;
    const mark = stage && tokenElement(stage, index)?.querySelector(".liw-ink");
    const rect = mark?.getClientRects()[0];
    if (!tip || !stage || rect === undefined) return;
    const box = stage.getBoundingClientRect();
    const centre = (rect.left + rect.right) / 2 - box.left - tip.offsetWidth / 2;
    const left = clamp(centre, 0, box.width - tip.offsetWidth);
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(rect.bottom - box.top + GAP)}px)`;
  });

  const { subject, readings } = props;
  const token = subject.inputs[index];
  const reading = readings.all[index];
  if (token === undefined || reading === undefined) return null;
  return (
    <div class="liw-tip" ref={ref} aria-hidden="true">
      <div class="liw-tip-head">
        <bdi class="liw-tip-token">{visible(token.text)}</bdi>
        <Value reading={reading} subject={subject} />
      </div>
      <div class="liw-tip-note">
        {isAbsent(reading)
          ? token.special
            ? say(W.SPECIAL_TOKEN)
            : say(W.NO_SCORE_YET)
          : note(reading, props)}
      </div>
    </div>
  );
}

/** Always one line high, so that pinning moves nothing. */
export function PinnedLine(props: Omit<Props, "index"> & { index: number | null }): JSX.Element {
  const { subject, readings, index } = props;
  const token = index === null ? undefined : subject.inputs[index];
  const reading = index === null ? undefined : readings.all[index];
  if (token === undefined || reading === undefined) {
    return <p class="liw-pinned liw-muted">{say(W.POINT_AT_A_TOKEN)}</p>;
  }
  return (
    <p class="liw-pinned">
      <PinIcon />
      <bdi class="liw-tip-token">{visible(token.text)}</bdi>
      <Value reading={reading} subject={subject} />
      {!isAbsent(reading) && <span class="liw-muted">{note(reading, props)}</span>}
    </p>
  );
}

function Value({ reading, subject }: { reading: Reading; subject: Subject }): JSX.Element | null {
  if (isAbsent(reading)) return null;
  return (
    <span class="liw-value">
      <b>{signed(reading.score)}</b>
      {reading.margin > 0 && <span> ± {magnitude(reading.margin)}</span>}
      <span class="liw-muted"> {unitName(subject.unit)}</span>
    </span>
  );
}

function note(reading: Reading, { subject, output, readings }: Omit<Props, "index">): string {
  const share = percent(reading.share);
  return [
    effect(reading, subject, targetName(subject, output)),
    say(W.RANK_OF, { rank: reading.rank, count: readings.ranked.length }),
    subject.unit === "score"
      ? say(W.SHARE_OF_ALL_SCORES, { share })
      : say(W.SHARE_OF_ALL_EFFECTS, { share }),
  ].join(" · ");
}

function PinIcon(): JSX.Element {
  return (
    <svg class="liw-icon" viewBox="0 0 12 12" aria-hidden="true">
      <path d="M6 7.5V11M3 7.5h6L7.8 5V1.5H4.2V5Z" />
    </svg>
  );
}
