/** The numeric twin of a head: its largest weights, the largest first. */

import type { JSX } from "preact";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { floats } from "../../decode";
import { magnitude, visible } from "../../format";
import { say } from "../../say";
import * as W from "../../words";
import { useAnswers } from "./hooks";

const ROWS = 40;

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
}

export function Largest({ board, stack, head }: Props): JSX.Element {
  const [answer] = useAnswers(board, "top", [wantOf("top", head, { a: ROWS })]);
  const numbers = floats(answer?.buffers[0]);
  const rows = Array.from({ length: numbers.length / 3 }, (_, i) =>
    numbers.slice(3 * i, 3 * i + 3),
  );
  return (
    <div class="liw-fold-body">
      {answer?.error && <p class="liw-heads-problem">{answer.error.message}</p>}
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
      <div class="liw-table-box" role="group" aria-label={say(W.LARGEST_WEIGHTS)} tabIndex={0}>
        <table class="liw-table">
          <thead>
            <tr>
              {[say(W.WEIGHT), say(W.ATTENDS), "#", say(W.IS_ATTENDED_TO), "#"].map((name, i) => (
                <th key={i} scope="col">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([query = 0, key = 0, weight = 0]) => (
              <tr key={`${query}.${key}`}>
                <td>{magnitude(weight)}</td>
                <td>{visible(stack.queries.tokens[query] ?? "")}</td>
                <td>{query}</td>
                <td>{visible(stack.keys.tokens[key] ?? "")}</td>
                <td>{key}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}
