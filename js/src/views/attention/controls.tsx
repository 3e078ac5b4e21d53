/** Small controls that the views of heads share. */

import type { JSX } from "preact";

/** (layer, head), and the stack's name where it is not the first. */
export type Pin = readonly [layer: number, head: number, stack?: string];

interface ChoiceProps {
  readonly label: string;
  readonly value: string;
  readonly options: readonly (readonly [value: string, words: string])[];
  readonly onChoose: (value: string) => void;
}

export function Choice({ label, value, options, onChoose }: ChoiceProps): JSX.Element {
  return (
    <label class="liw-heads-choice">
      {label}
      <select value={value} onChange={({ currentTarget }) => onChoose(currentTarget.value)}>
        {options.map(([name, words]) => (
          <option key={name} value={name}>
            {words}
          </option>
        ))}
      </select>
    </label>
  );
}
