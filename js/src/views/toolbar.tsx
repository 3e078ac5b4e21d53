/** Small controls, after the answer: the colour limit and copies of the picture. */

import type { JSX } from "preact";
import { magnitude } from "../format";
import { canvasMeasure, type PictureState, pictureSvg } from "../picture";
import { say } from "../say";
import * as W from "../words";
import { CopyPicture } from "./copy";

interface Props {
  /** The fixed limit of the colour scale; null when it follows the shown output. */
  readonly fixed: number | null;
  /** What the limit becomes when the reader fixes it. */
  readonly suggestion: number;
  readonly onLimit: (limit: number | null) => void;
  readonly picture: () => PictureState;
}

export function Toolbar({ fixed, suggestion, onLimit, picture }: Props): JSX.Element {
  const svg = (): string => pictureSvg(picture(), canvasMeasure());
  return (
    <div class="liw-toolbar">
      <button
        type="button"
        class="liw-button"
        aria-pressed={fixed !== null}
        title={say(W.FIXED_SCALE_HELP)}
        onClick={() => onLimit(fixed === null ? rounded(suggestion) : null)}
      >
        {say(W.FIXED_SCALE)}
      </button>
      {fixed !== null && (
        <label class="liw-limit">
          <span aria-hidden="true">±</span>
          <span class="liw-hidden">{say(W.COLOUR_LIMIT)}</span>
          <input
            type="number"
            min="0"
            step="any"
            value={magnitude(fixed)}
            onChange={(event) => {
              const value = event.currentTarget.valueAsNumber;
              if (value > 0 && Number.isFinite(value)) onLimit(value);
              else event.currentTarget.value = String(fixed);
            }}
          />
        </label>
      )}
      <span class="liw-divider" aria-hidden="true" />
      <CopyPicture name="explanation" svg={svg} />
    </div>
  );
}

/** Two significant digits, rounded up, so that nothing is clipped. */
function rounded(limit: number): number {
  if (!(limit > 0)) return 1;
  const step = 10 ** (Math.floor(Math.log10(limit)) - 1);
  return Number((Math.ceil(limit / step) * step).toPrecision(2));
}
