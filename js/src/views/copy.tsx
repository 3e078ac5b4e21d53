/** A button that copies something and says what became of it. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Delivery, deliver } from "../clipboard";
import { rasterise } from "../picture";
import { say } from "../say";
import * as W from "../words";

const SHOWN_MS = 1800;
const OUTCOMES: Record<Delivery | "failed", string> = {
  copied: W.COPIED,
  saved: W.SAVED_AS_A_FILE,
  failed: W.NOT_POSSIBLE_HERE,
};

interface Props {
  readonly label: string;
  /** Name of the file where the clipboard is refused. */
  readonly file: string;
  readonly make: () => Blob | Promise<Blob>;
}

export function CopyButton({ label, file, make }: Props): JSX.Element {
  const [outcome, setOutcome] = useState<keyof typeof OUTCOMES | null>(null);
  useEffect(() => {
    if (outcome === null) return undefined;
    const timer = setTimeout(() => setOutcome(null), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [outcome]);
  const run = async (): Promise<void> => {
    try {
      setOutcome(await deliver(await make(), file));
    } catch {
      setOutcome("failed");
    }
  };
  return (
    <button type="button" class="liw-button" onClick={() => void run()}>
      <span aria-live="polite">{outcome === null ? label : say(OUTCOMES[outcome])}</span>
    </button>
  );
}

/** Copies of a picture, as it is at that moment. */
export function CopyPicture({ name, svg }: { name: string; svg: () => string }): JSX.Element {
  return (
    <>
      <CopyButton
        label={say(W.COPY_SVG)}
        file={`${name}.svg`}
        make={() => new Blob([svg()], { type: "image/svg+xml" })}
      />
      <CopyButton label={say(W.COPY_PNG)} file={`${name}.png`} make={() => rasterise(svg())} />
    </>
  );
}
