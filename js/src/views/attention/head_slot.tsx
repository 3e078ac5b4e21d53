/** The place of the head that is open: its view is a bundle of its own, fetched when needed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Board } from "../../attention/board";
import { say } from "../../say";
import * as W from "../../words";

const PATIENCE_MS = 4000;

export function HeadSlot({ board }: { board: Board }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [standing, setStanding] = useState({ template: W.OPENING, error: "" });
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const stand = (template: string, error = ""): void => {
      if (!signal.aborted) setStanding({ template, error });
    };
    // A notebook that was saved shows its overview; heads are opened by a kernel.
    const late = setTimeout(() => {
      stand(W.RUN_THE_CELL_TO_OPEN_HEADS);
      board.lose();
    }, PATIENCE_MS);
    board
      .part("attention_head")
      .then((part) => {
        clearTimeout(late);
        stand("");
        if (place.current && !signal.aborted) part.render(place.current, board, signal);
      })
      .catch((error: unknown) => {
        clearTimeout(late);
        stand(W.HEAD_NOT_LOADED, ` (${String(error)})`);
      });
    return () => {
      clearTimeout(late);
      controller.abort();
    };
  }, [board]);
  return (
    <>
      {standing.template && (
        <p class="liw-muted liw-heads-wait">{say(standing.template) + standing.error}</p>
      )}
      <div ref={place} class="liw-heads-place" />
    </>
  );
}
