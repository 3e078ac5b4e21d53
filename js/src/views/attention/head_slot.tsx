/** The place of the head that is open: its view is a bundle of its own, fetched when needed. */

import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Board } from "../../attention/board";

export function HeadSlot({ board }: { board: Board }): JSX.Element {
  const place = useRef<HTMLDivElement>(null);
  const [standing, setStanding] = useState("Opening…");
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    const say = (words: string): void => {
      if (!signal.aborted) setStanding(words);
    };
    board
      .part("attention_head")
      .then((part) => {
        say("");
        if (place.current && !signal.aborted) part.render(place.current, board, signal);
      })
      .catch((error: unknown) => {
        say(`The view of one head could not be loaded. (${String(error)})`);
      });
    return () => controller.abort();
  }, [board]);
  return (
    <>
      {standing && (
        <p class="liw-muted liw-heads-wait">
          {/* A saved notebook shows its overview; heads are opened by a kernel. */}
          {board.hearing === "gone" ? "Run the cell to open heads." : standing}
        </p>
      )}
      <div ref={place} class="liw-heads-place" />
    </>
  );
}
