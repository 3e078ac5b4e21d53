/** Finds tokens by their text; Enter goes from one to the next. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Stack } from "../../attention/board";
import { say } from "../../say";
import * as W from "../../words";

interface Props {
  readonly stack: Stack;
  /** Where the search goes on from, at that moment. */
  readonly from: () => number | null;
  readonly onFind: (token: number) => void;
}

export function Search({ stack, from, onFind }: Props): JSX.Element {
  const [text, setText] = useState("");
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    if (wanted === "") return [];
    return stack.queries.tokens.flatMap((token, i) =>
      token.toLowerCase().includes(wanted) ? [i] : [],
    );
  }, [stack, text]);
  const place = found.indexOf(from() ?? -1);
  return (
    <span class="liw-heads-choice">
      <label class="liw-heads-choice">
        {say(W.FIND)}
        <input
          type="search"
          size={10}
          value={text}
          data-lm-suppress-shortcuts="true"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter") return;
            const next = found.find((i) => i > (from() ?? -1)) ?? found[0];
            if (next !== undefined) onFind(next);
            event.preventDefault();
            event.stopPropagation();
          }}
        />
      </label>
      <span class="liw-muted" role="status">
        {text === ""
          ? ""
          : place < 0
            ? say(W.N_FOUND, { n: found.length })
            : say(W.AT_OF_N, { at: place + 1, n: found.length })}
      </span>
    </span>
  );
}
