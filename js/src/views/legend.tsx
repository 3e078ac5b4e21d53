/** The colour scale with numbers, unit and direction. */

import type { JSX } from "preact";
import { signed, unitName } from "../format";
import type { Unit } from "../protocol.gen";
import { phrase, say } from "../say";
import * as W from "../words";

interface Props {
  readonly limit: number;
  readonly unit: Unit;
  readonly target: string;
  readonly unsure: boolean;
  readonly partial: boolean;
}

export function Legend({ limit, unit, target, unsure, partial }: Props): JSX.Element {
  const known = limit > 0;
  const effect = unit !== "score";
  return (
    <div class="liw-legend">
      <div class="liw-scale">
        <span class="liw-scale-end">{known ? signed(-limit) : ""}</span>
        <span class="liw-scale-bar" aria-hidden="true" />
        <span class="liw-scale-end">{known ? signed(limit) : ""}</span>
        <span class="liw-scale-words">
          <span>{effect ? say(W.LEFT_LOWERS) : say(W.BELOW)}</span>
          <span>0</span>
          <span>{effect ? say(W.RIGHT_RAISES) : say(W.ABOVE)}</span>
        </span>
      </div>
      <div class="liw-legend-unit">
        {phrase(effect ? W.UNIT_OF_TARGET : W.UNIT_NOT_AN_EFFECT, {
          unit: unitName(unit),
          target: <bdi>{target}</bdi>,
        })}
        {unsure && (
          <span class="liw-legend-unsure">
            <span class="liw-swatch" aria-hidden="true" />
            {say(W.CROSSES_ZERO)}
          </span>
        )}
        {partial && <span class="liw-legend-unsure">{say(W.NOT_COMPUTED)}</span>}
      </div>
    </div>
  );
}
