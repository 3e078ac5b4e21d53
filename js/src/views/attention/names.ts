/** What heads and tokens are called. */

import type { Axis } from "../../attention/axes";
import type { Ref } from "../../attention/board";
import { say } from "../../say";
import * as W from "../../words";

const TOGETHER: Readonly<Record<string, string>> = {
  mean: W.MEAN_OF_ALL_HEADS,
  max: W.LARGEST_OF_ALL_HEADS,
  rollout: W.ROLLOUT_OVER_ALL_HEADS,
  value: W.VALUE_NORM_OF_ALL,
  gradient: W.GRADIENT_OF_ALL,
};

export function nameOf({ layer, head, how }: Ref): string {
  if (head >= 0) return say(W.HEAD_NAME, { layer, head });
  return say(W.HEADS_TOGETHER, {
    layer: layer < 0 ? say(W.ALL_LAYERS) : say(W.LAYER_NAME, { layer }),
    how: say(TOGETHER[how] ?? ""),
  });
}

/** A token or piece in quotation marks; a token with its position, as texts repeat themselves. */
export function quoted(axis: Axis, piece: number): string {
  const single = axis.count === axis.edges[axis.count];
  return single ? `“${axis.name(piece)}” ${piece}` : `“${axis.name(piece)}”`;
}
