/** Which output token is explained, when there are several. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { visible } from "../format";
import type { TokenInfo } from "../protocol.gen";
import { say } from "../say";
import * as W from "../words";

export interface OutputsProps {
  readonly outputs: readonly TokenInfo[];
  readonly shown: number;
  readonly known: (output: number) => boolean;
  readonly onShow: (output: number) => void;
}

/** Native radio buttons in the dress of running text: arrows and Tab come with them. */
export function Outputs({ outputs, shown, known, onShow }: OutputsProps): JSX.Element | null {
  const [group] = useState(newName); // useId begins anew in every view, and views share a page
  if (outputs.length < 2) return null;
  return (
    <fieldset class="liw-outputs" data-lm-suppress-shortcuts="true">
      <legend>{say(W.OUTPUT)}</legend>
      {outputs.map((token, output) => (
        <label key={token.position} class="liw-output" data-known={known(output)}>
          <input
            type="radio"
            name={group}
            checked={output === shown}
            onChange={() => onShow(output)}
          />
          <bdi>{visible(token.text.replace(/^ /, ""))}</bdi>
        </label>
      ))}
    </fieldset>
  );
}

function newName(): string {
  return `liw-${Math.random().toString(36).slice(2)}`;
}
