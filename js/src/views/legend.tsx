/** The colour scale with numbers, unit and direction. */

import type { JSX } from "preact";
import { signed, unitName } from "../format";
import type { Unit } from "../protocol.gen";

interface Props {
  readonly limit: number;
  readonly unit: Unit;
  readonly target: string;
  readonly unsure: boolean;
}

export function Legend({ limit, unit, target, unsure }: Props): JSX.Element {
  const known = limit > 0;
  const effect = unit !== "score";
  return (
    <div class="liw-legend">
      <div class="liw-scale">
        <span class="liw-scale-end">{known ? signed(-limit) : ""}</span>
        <span class="liw-scale-bar" aria-hidden="true" />
        <span class="liw-scale-end">{known ? signed(limit) : ""}</span>
        <span class="liw-scale-words">
          <span>{effect ? "← lowers" : "below"}</span>
          <span>0</span>
          <span>{effect ? "raises →" : "above"}</span>
        </span>
      </div>
      <div class="liw-legend-unit">
        {unitName(unit)} {effect ? "of" : "for"} <bdi>{target}</bdi>
        {effect ? "" : ", not an effect"}
        {unsure && (
          <span class="liw-legend-unsure">
            <span class="liw-swatch" aria-hidden="true" />
            95 % interval crosses zero
          </span>
        )}
      </div>
    </div>
  );
}
