/** Words by their mean |score|, with 95 % intervals over texts. */

import type { JSX } from "preact";
import type { Group } from "../collection";
import { aligned, decimalsFor, signed, unitName } from "../format";
import type { Unit } from "../protocol.gen";
import { say } from "../say";
import * as W from "../words";

interface Props {
  readonly rows: readonly Group[];
  readonly unit: Unit;
}

export function GroupBars({ rows, unit }: Props): JSX.Element {
  const most = Math.max(...rows.map(({ size, margin }) => size + (margin || 0)));
  const decimals = decimalsFor(rows[0]?.size ?? 1);
  const share = (value: number): string => `${((100 * Math.max(0, value)) / most).toFixed(2)}%`;
  return (
    <ol class="liw-ranking">
      {rows.map(({ name, size, margin, mean, scores }) => (
        <li key={name} data-kind={mean < 0 ? "lowers" : "raises"}>
          <span class="liw-rank-row">
            <bdi class="liw-rank-token">
              {name} <span class="liw-muted">{scores.length}</span>
            </bdi>
            <span class="liw-rank-track" aria-hidden="true">
              <span class="liw-rank-bar" style={{ left: 0, width: share(size) }} />
              {margin > 0 && (
                <span
                  class="liw-rank-whisker"
                  style={{ left: share(size - margin), width: share(2 * Math.min(margin, size)) }}
                />
              )}
            </span>
            <span class="liw-rank-value">
              <span aria-hidden="true">{mean < 0 ? "↓" : "↑"} </span>
              {aligned(size, decimals).replace(/^\+/, "")}
              <span class="liw-hidden">
                {` ${say(W.MEAN_SPOKEN, { unit: unitName(unit), n: scores.length, mean: signed(mean) })}`}
              </span>
            </span>
          </span>
        </li>
      ))}
    </ol>
  );
}
