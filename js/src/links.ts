/**
 * Views of one text on one page share what is pointed at, what is pinned, and which output.
 *
 * Views need not know of each other, nor come from one bundle: word goes round as an event of
 * the document that names the text and a span of its characters, so that each finds its own
 * pieces there, tokens in one and words in another.
 */

import { useEffect, useState } from "preact/hooks";
import type { Connection } from "./connect";
import type { Subject, TokenInfo } from "./protocol.gen";

const NAME = "liw-link";

interface Word {
  /** Who says it; only compared. */
  readonly from: object;
  readonly what: "look" | "pin" | "output";
  readonly prompt: string;
  readonly job: string;
  /** Characters of the prompt, or [output]; null for nothing. */
  readonly at: readonly number[] | null;
}

export interface Links {
  /** The piece pointed at, here or in another view. */
  readonly looked: number | null;
  /** Whether it is pointed at here. */
  readonly here: boolean;
  look(index: number | null): void;
  pin(index: number | null): void;
  show(output: number): void;
}

export function useLinks(connection: Connection, { prompt, inputs }: Subject): Links {
  const [{ looked, here }, setLooked] = useState<Pick<Links, "looked" | "here">>(NOTHING);
  const { job } = connection.state();
  useEffect(() => {
    const hear = (event: Event): void => {
      const { from, what, at, ...of } = (event as CustomEvent<Word>).detail;
      if (from === connection || of.prompt !== prompt) return;
      const index = at === null ? null : pieceAt(inputs, at[0] ?? 0, at[1] ?? 0);
      if (what === "look") setLooked({ looked: index, here: false });
      else if (what === "pin") connection.set("selected", index);
      else if (of.job === job) connection.set("output", at?.[0] ?? 0);
    };
    document.addEventListener(NAME, hear);
    return () => document.removeEventListener(NAME, hear);
  }, [connection, prompt, inputs, job]);

  const tell = (what: Word["what"], at: Word["at"]): void => {
    const detail: Word = { from: connection, what, prompt, job, at };
    document.dispatchEvent(new CustomEvent(NAME, { detail }));
  };
  const spanOf = (index: number | null): Word["at"] => {
    const piece = index === null ? undefined : inputs[index];
    return piece === undefined ? null : [piece.start, piece.end];
  };
  return {
    looked,
    here,
    look(index) {
      if (index === looked && here === (index !== null)) return;
      setLooked({ looked: index, here: true });
      tell("look", spanOf(index));
    },
    pin(index) {
      connection.set("selected", index);
      tell("pin", spanOf(index));
    },
    show(output) {
      connection.set("output", output);
      tell("output", [output]);
    },
  };
}

const NOTHING = { looked: null, here: false };

/** The piece that shares most characters with a span; null if none does. */
export function pieceAt(inputs: readonly TokenInfo[], start: number, end: number): number | null {
  let [best, most] = [null as number | null, 0];
  inputs.forEach((piece, index) => {
    const shared = Math.min(end, piece.end) - Math.max(start, piece.start);
    if (shared > most) [best, most] = [index, shared];
  });
  return best;
}
