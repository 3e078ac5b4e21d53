/** What a head does: the target's value with it and without. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { floats } from "../../decode";
import { percent, signed, unitName } from "../../format";
import type { Unit } from "../../protocol.gen";
import { phrase, say } from "../../say";
import * as W from "../../words";
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
    return <p class="liw-muted liw-heads-small">{say(W.NO_EFFECT_HERE, { why })}</p>;
  }
  const [before, after, topBefore, topAfter] = floats(answer?.buffers[0]);
  const said = answer?.said;
  const unit = said?.["unit"] ?? "";
  return (
    <p class="liw-heads-effect">
      <button
        type="button"
        class="liw-button"
        disabled={asked > 0 && !answer?.error}
        onClick={() => setAsked(asked + 1)}
      >
        {say(W.SWITCH_IT_OFF)}
      </button>
      <span role="status">
        {answer?.error && <span class="liw-heads-problem">{answer.error.message}</span>}
        {asked > 0 && !answer?.buffers.length && !answer?.error && (said?.["progress"] ?? "…")}
        {before !== undefined && after !== undefined && (
          <>
            {phrase(W.EFFECT, {
              change: <b>{`${signed(after - before)} ${unitName(unit as Unit) || unit}`}</b>,
              target: said?.["target"] ?? "",
              before: signed(before),
              after: signed(after),
            })}{" "}
            {said?.["before"] !== undefined && (
              <span class="liw-muted">
                {say(W.LIKELIEST, {
                  before: likely(said["before"], topBefore),
                  after: likely(said["after"], topAfter),
                })}
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
