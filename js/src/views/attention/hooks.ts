/** What the views of heads share: answers that come, and a canvas as wide as its place. */

import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useMemo, useState } from "preact/hooks";
import type { Answer, Board } from "../../attention/board";
import type { Theme } from "../../colour";
import type { Want } from "../../protocol.gen";
import { watchTheme } from "../../theme";

/** Draws again whenever the board changes, once for what changes together; returns the page's light or dark. */
export function useBoard(board: Board, root: RefObject<HTMLElement | null>): Theme {
  const [, redraw] = useState(0);
  const [theme, setTheme] = useState<Theme>("light");
  useEffect(() => {
    let due = false;
    let gone = false;
    const again = (): void => {
      if (due) return;
      due = true;
      queueMicrotask(() => {
        due = false;
        if (!gone) redraw((n) => n + 1);
      });
    };
    again(); // what changed before there was anyone to hear of it
    const leave = board.subscribe(again);
    return () => {
      gone = true;
      leave();
    };
  }, [board]);
  useEffect(() => (root.current ? watchTheme(root.current, setTheme) : undefined), [root]);
  return theme;
}

/** Answers to wants, in their order, as far as they are known; asks for the rest. */
export function useAnswers(
  board: Board,
  slot: string,
  wants: readonly Want[],
): readonly (Answer | undefined)[] {
  const key = JSON.stringify(wants);
  const [heard, setHeard] = useState<{ key: string; answers: ReadonlyMap<Want, Answer> }>();
  const asked = useMemo(() => wants, [key]);
  // Before the frame is painted: a head that is opened is asked for at once.
  useLayoutEffect(() => {
    const missing = asked.filter((want) => board.known(want) === undefined);
    let answers: ReadonlyMap<Want, Answer> = new Map();
    board.ask(slot, missing, (number, answer) => {
      const want = missing[number];
      if (want === undefined) return;
      answers = new Map(answers).set(want, answer);
      setHeard({ key, answers });
    });
  }, [board, asked]);
  const told = heard?.key === key ? heard.answers : undefined;
  return asked.map((want) => board.known(want) ?? told?.get(want));
}

/** The width of an element's parent, followed. */
export function useWidth(ref: RefObject<HTMLElement | null>, least: number): number {
  const [width, setWidth] = useState(640);
  useEffect(() => {
    const box = ref.current?.parentElement;
    if (!box) return undefined;
    const observer = new ResizeObserver(() => setWidth(Math.max(least, box.clientWidth)));
    observer.observe(box);
    return () => observer.disconnect();
  }, [ref, least]);
  return width;
}

/** A text, or the beginning of it that fits. */
export function fitted(context: CanvasRenderingContext2D, text: string, width: number): string {
  if (context.measureText(text).width <= width) return text;
  const characters = [...text];
  const share = width / context.measureText(text).width;
  let size = Math.max(1, Math.floor(characters.length * share));
  const cut = (): string => `${characters.slice(0, size).join("")}…`;
  while (size > 1 && context.measureText(cut()).width > width) size -= 1;
  return cut();
}

/** A canvas with one unit a CSS pixel, cleared; null where there is none. */
export function brush(
  canvas: HTMLCanvasElement | null,
  width: number,
  height: number,
): CanvasRenderingContext2D | null {
  const context = canvas?.getContext("2d");
  if (!canvas || !context) return null;
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}
