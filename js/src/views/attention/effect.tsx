/** What a head does: the target's value with it and without. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { floats } from "../../decode";
import { percent, signed } from "../../format";
import { useAnswers } from "./hooks";

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
}

export function Effect({ board, stack, head }: Props): JSX.Element | null {
  const [asked, setAsked] = useState(0); // a failure may be tried again
  const [answer] = useAnswers(board, "effect", asked ? [wantOf("effect", head, { a: asked })] : []);
  const why = stack.cannot["effect"];
  if (!board.live) return null;
  if (why) {
    return <p class="liw-muted liw-heads-small">{`Its effect is not to be had here: ${why}`}</p>;
  }
  const [before, after, topBefore, topAfter] = floats(answer?.buffers[0]);
  const said = answer?.said;
  return (
    <p class="liw-heads-effect">
      <button
        type="button"
        class="liw-button"
        disabled={asked > 0 && !answer?.error}
        onClick={() => setAsked(asked + 1)}
      >
        Switch it off
      </button>
      <span role="status">
        {answer?.error && <span class="liw-heads-problem">{answer.error.message}</span>}
        {asked > 0 && !answer?.buffers.length && !answer?.error && (said?.["progress"] ?? "…")}
        {before !== undefined && after !== undefined && (
          <>
            <b>{`${signed(after - before)} ${UNITS[said?.["unit"] ?? ""] ?? said?.["unit"]}`}</b>
            {` of ${said?.["target"]}: ${signed(before)} with it, ${signed(after)} without. `}
            {said?.["before"] !== undefined && (
              <span class="liw-muted">
                {`Likeliest: ${likely(said["before"], topBefore)}, without it ${likely(said["after"], topAfter)}.`}
              </span>
            )}
          </>
        )}
      </span>
    </p>
  );
}

function likely(text = "", probability = Number.NaN): string {
  return `“${text.trim()}” (${percent(probability)})`;
}

const UNITS: Readonly<Record<string, string>> = {
  log_prob: "log-probability",
  prob: "probability",
};
