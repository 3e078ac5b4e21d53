/** Tokens by |score|: small bars around zero, with the 95 % interval as a whisker. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { aligned, decimalsFor, visible } from "../format";
import type { Subject } from "../protocol.gen";
import type { Reading, Readings } from "../readings";

const FIRST = 12;

interface Props {
  readonly subject: Subject;
  readonly readings: Readings;
  readonly selected: number | null;
  readonly onPin: (index: number | null) => void;
}

export function Ranking({ subject, readings, selected, onPin }: Props): JSX.Element {
  const [all, setAll] = useState(false);
  const shown = all ? readings.ranked : readings.ranked.slice(0, FIRST);
  const reach = readings.ranked.reduce(
    (widest, { score, margin }) => Math.max(widest, Math.abs(score) + (margin || 0)),
    0,
  );
  const decimals = decimalsFor(readings.largest);
  return (
    <div class="liw-fold-body">
      <ol class="liw-ranking">
        {shown.map((reading) => (
          <li key={reading.index} data-kind={reading.unsure ? "unsure" : direction(reading)}>
            <button
              type="button"
              class="liw-rank-row"
              aria-pressed={reading.index === selected}
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
          {all ? `Show the first ${FIRST}` : `Show all ${readings.ranked.length}`}
        </button>
      )}
    </div>
  );
}

function direction({ score }: Reading): string {
  return score < 0 ? "lowers" : "raises";
}

function Bar({ reading: { score, margin }, reach }: { reading: Reading; reach: number }) {
  const at = (value: number): number => (reach > 0 ? 50 + (50 * value) / reach : 50);
  const span = (from: number, to: number) => ({
    left: `${Math.min(from, to).toFixed(2)}%`,
    width: `${Math.abs(to - from).toFixed(2)}%`,
  });
  return (
    <span class="liw-rank-track" aria-hidden="true">
      <span class="liw-rank-bar" style={span(at(0), at(score))} />
      {!Number.isNaN(margin) && (
        <span class="liw-rank-whisker" style={span(at(score - margin), at(score + margin))} />
      )}
    </span>
  );
}
