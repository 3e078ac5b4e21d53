/** A button that copies something and says what became of it. */

import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Delivery, deliver } from "../clipboard";
import { rasterise } from "../picture";

const SHOWN_MS = 1800;
const WORDS: Record<Delivery | "failed", string> = {
  copied: "Copied",
  saved: "Saved as a file",
  failed: "Not possible here",
};

interface Props {
  readonly label: string;
  /** Name of the file where the clipboard is refused. */
  readonly file: string;
  readonly make: () => Blob | Promise<Blob>;
}

export function CopyButton({ label, file, make }: Props): JSX.Element {
  const [outcome, setOutcome] = useState<keyof typeof WORDS | null>(null);
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
      <span aria-live="polite">{outcome === null ? label : WORDS[outcome]}</span>
    </button>
  );
}

/** Copies of a picture, as it is at that moment. */
export function CopyPicture({ name, svg }: { name: string; svg: () => string }): JSX.Element {
  return (
    <>
      <CopyButton
        label="Copy SVG"
        file={`${name}.svg`}
        make={() => new Blob([svg()], { type: "image/svg+xml" })}
      />
      <CopyButton label="Copy PNG" file={`${name}.png`} make={() => rasterise(svg())} />
    </>
  );
}
