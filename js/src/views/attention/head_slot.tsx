/** The place of the head that is open: its view is a bundle of its own, fetched when needed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Board } from "../../attention/board";
import { say } from "../../say";
import * as W from "../../words";

export function HeadSlot({ board }: { board: Board }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [standing, setStanding] = useState({ template: W.OPENING, error: "" });
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const stand = (template: string, error = ""): void => {
      if (!signal.aborted) setStanding({ template, error });
    };
    board
      .part("attention_head")
      .then((part) => {
        stand("");
        if (place.current && !signal.aborted) part.render(place.current, board, signal);
      })
      .catch((error: unknown) => {
        stand(W.HEAD_NOT_LOADED, ` (${String(error)})`);
      });
    return () => controller.abort();
  }, [board]);
  return (
    <>
      {standing.template && (
        <p class="liw-muted liw-heads-wait">
          {/* A saved notebook shows its overview; heads are opened by a kernel. */}
          {board.hearing === "gone"
            ? say(W.RUN_THE_CELL_TO_OPEN_HEADS)
            : say(standing.template) + standing.error}
        </p>
      )}
      <div ref={place} class="liw-heads-place" />
    </>
  );
}
