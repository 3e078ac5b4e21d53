/** What heads and tokens are called. */

import type { Axis } from "../../attention/axes";
import type { Ref } from "../../attention/board";

export function nameOf({ layer, head, how }: Ref): string {
  if (head >= 0) return `Layer ${layer}, head ${head}`;
  const what: Record<string, string> = {
    mean: "mean of",
    max: "largest of",
    rollout: "rollout over",
    value: "weight × value norm,",
    gradient: "weight × gradient,",
  };
  return `${layer < 0 ? "All layers" : `Layer ${layer}`}: ${what[how] ?? ""} all heads`;
}

/** A token or piece in quotation marks; a token with its position, as texts repeat themselves. */
export function quoted(axis: Axis, piece: number): string {
  const single = axis.count === axis.edges[axis.count];
  return single ? `“${axis.name(piece)}” ${piece}` : `“${axis.name(piece)}”`;
}
