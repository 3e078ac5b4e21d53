/** What is under the crosshair: the two tokens and the exact weight. */

import type { JSX } from "preact";
import type { Axis } from "../../attention/axes";
import { type Answer, type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { WEIGHTS } from "../../attention/ramp";
import { floats, octets } from "../../decode";
import { magnitude, signed } from "../../format";
import { listed, say } from "../../say";
import * as W from "../../words";
import { useAnswers } from "./hooks";
import type { Cell } from "./matrix";
import { quoted } from "./names";

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
  /** A head that is compared, on as many tokens. */
  readonly second: Ref | null;
  readonly rows: Axis;
  readonly cols: Axis;
  readonly at: Cell | null;
  readonly sums: Answer | undefined;
  readonly pieces: string;
  /** What to do where nothing is pointed at. */
  readonly hint: string;
}

/** One line high, whatever it says. */
export function Readout(props: Props): JSX.Element {
  const { stack, rows, cols, at, hint } = props;
  const said = useSaid(props);
  if (at === null) {
    return (
      <p class="liw-pinned liw-muted">
        <span>{hint}</span>
      </p>
    );
  }
  const later = stack.causal && at.query >= 0 && at.key > at.query;
  return (
    <p class="liw-pinned">
      <span>
        {at.query >= 0 && <bdi>{quoted(rows, at.query)}</bdi>}
        {at.query >= 0 && at.key >= 0 && " → "}
        {at.key >= 0 && <bdi>{quoted(cols, at.key)}</bdi>}
      </span>
      <span class="liw-muted">{later ? say(W.COMES_LATER) : said.join(" · ")}</span>
    </p>
  );
}

/** What is known of the place, each fact a phrase. */
function useSaid({ board, head, second, rows, cols, at, sums, pieces }: Props): string[] {
  const single = pieces === "token" && at !== null && at.query >= 0;
  const asked = (ref: Ref | null): Ref[] => (single && ref ? [ref] : []);
  const rowOf = (ref: Ref) => wantOf("row", ref, { a: at?.query ?? 0 });
  const [answer] = useAnswers(board, "row", asked(head).map(rowOf));
  const [other] = useAnswers(board, "row 2", asked(second).map(rowOf));
  const whole = !single && at !== null && at.query >= 0 && at.key >= 0;
  const edges = (axis: Axis, i: number): number[] => [axis.edges[i] ?? 0, axis.edges[i + 1] ?? 0];
  const cellOf = (how: string) =>
    wantOf("grid", head.head < 0 ? head : { ...head, how }, {
      rows: edges(rows, at?.query ?? 0),
      cols: edges(cols, at?.key ?? 0),
    });
  const pooled = useAnswers(board, "cell", whole ? ["max", "mean"].map(cellOf) : []);
  if (at === null) return [];
  const [received, given, entropy] = [0, 1, 2].map((i) => floats(sums?.buffers[i]));
  const row = floats(answer?.buffers[0]);
  const tell = (template: `${string}{value}${string}`, value: number | undefined): string[] =>
    value === undefined ? [] : [say(template as "{value}", { value: magnitude(value) })];
  if (at.query < 0) {
    return tell(W.GETS_IN_ALL, received?.[cols.edges[at.key] ?? 0]);
  }
  if (at.key < 0) {
    const best = [...row.keys()].sort((a, b) => (row[b] ?? 0) - (row[a] ?? 0)).slice(0, 3);
    const keys = listed(best.map((i) => `${quoted(cols, i)}: ${magnitude(row[i] ?? 0)}`));
    return keys ? [say(W.ATTENDS_MOST_TO_KEYS, { keys })] : [];
  }
  if (!single) {
    const [most, mean] = pooled.map((one) =>
      one?.buffers[0] ? WEIGHTS[octets(one.buffers[0])[0] ?? 0] : undefined,
    );
    return [
      ...tell(W.LARGEST_WEIGHT_VALUE, most),
      ...(head.head < 0 ? [] : tell(W.GIVEN_ON_AVERAGE, mean)),
    ];
  }
  const weight = row[at.key];
  const against = floats(other?.buffers[0])[at.key];
  if (weight !== undefined && against !== undefined) {
    return [
      ...tell(W.WEIGHT_VALUE, weight),
      ...tell(W.SECOND_VALUE, against),
      say(W.DIFFERENCE_VALUE, { value: signed(weight - against) }),
    ];
  }
  return [
    ...tell(W.WEIGHT_VALUE, weight),
    ...tell(W.ROW_SUMS_TO_VALUE, given?.[at.query]),
    ...tell(W.ENTROPY_VALUE_NATS, entropy?.[at.query]),
    ...tell(W.KEY_GETS, received?.[at.key]),
  ];
}
