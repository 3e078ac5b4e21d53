/** Tokens by |score|: small bars around zero, with the 95 % interval as a whisker. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { aligned, decimalsFor, visible } from "../format";
import type { Subject } from "../protocol.gen";
import type { Reading, Readings } from "../readings";
import { say } from "../say";
import * as W from "../words";

const FIRST = 12;

interface Props {
  readonly subject: Subject;
  readonly readings: Readings;
  readonly selected: number | null;
  readonly looked: number | null;
  readonly onPin: (index: number | null) => void;
  readonly onLook: (index: number | null) => void;
}

export function Ranking(props: Props): JSX.Element {
  const { subject, readings, selected, looked, onPin, onLook } = props;
  const [all, setAll] = useState(false);
  const shown = all ? readings.ranked : readings.ranked.slice(0, FIRST);
  const reach = reachOf(readings);
  const decimals = decimalsFor(readings.largest);
  return (
    <div class="liw-fold-body">
      <ol class="liw-ranking">
        {shown.map((reading) => (
          <li key={reading.index} data-kind={reading.unsure ? "unsure" : direction(reading)}>
            <button
              type="button"
              class="liw-rank-row"
              data-looked={reading.index === looked || undefined}
              aria-pressed={reading.index === selected}
              onFocus={() => onLook(reading.index)}
              onBlur={() => onLook(null)}
              onMouseEnter={() => onLook(reading.index)}
              onMouseLeave={() => onLook(null)}
              onClick={() => onPin(reading.index === selected ? null : reading.index)}
            >
              <bdi class="liw-rank-token">{visible(subject.inputs[reading.index]?.text ?? "")}</bdi>
              <Bar reading={reading} reach={reach} />
              <span class="liw-rank-value">{aligned(reading.score, decimals)}</span>
            </button>
          </li>
        ))}
      </ol>
      {readings.ranked.length > FIRST && (
        <button type="button" class="liw-button" onClick={() => setAll(!all)}>
          {all
            ? say(W.SHOW_THE_FIRST_N, { n: FIRST })
            : say(W.SHOW_ALL_N, { n: readings.ranked.length })}
        </button>
      )}
    </div>
  );
}

function direction({ score }: Reading): string {
  return score < 0 ? "lowers" : "raises";
}

/** How far bars and whiskers go below and above zero. */
interface Reach {
  readonly below: number;
  readonly above: number;
}

function reachOf({ ranked }: Readings): Reach {
  let [below, above] = [0, 0];
  for (const { score, margin } of ranked) {
    below = Math.max(below, (margin || 0) - score);
    above = Math.max(above, (margin || 0) + score);
  }
  return { below, above };
}

function Bar({ reading: { score, margin }, reach }: { reading: Reading; reach: Reach }) {
  const width = reach.below + reach.above;
  const at = (value: number): number => (width > 0 ? (100 * (value + reach.below)) / width : 0);
  const span = (from: number, to: number) => ({
    left: `${at(Math.min(from, to)).toFixed(2)}%`,
    width: `${(at(Math.max(from, to)) - at(Math.min(from, to))).toFixed(2)}%`,
  });
  return (
    <span class="liw-rank-track" aria-hidden="true">
      <span class="liw-rank-zero" style={{ left: `${at(0).toFixed(2)}%` }} />
      <span class="liw-rank-bar" style={span(0, score)} />
      {margin > 0 && <span class="liw-rank-whisker" style={span(score - margin, score + margin)} />}
    </span>
  );
}
