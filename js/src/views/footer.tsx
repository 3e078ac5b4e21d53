/** What a careful reader wants to know: facts, cautions, failures. */

import type { JSX } from "preact";
import type { ErrorInfo, Fact, Level } from "../protocol.gen";
import { say } from "../say";
import * as W from "../words";

const LEVELS: Record<Exclude<Level, "plain">, string> = {
  warn: W.CAUTION,
  bad: W.PROBLEM,
};

/** The honesty footer. A level is told by a sign and a word, not by colour alone. */
export function Facts({ facts }: { facts: readonly Fact[] }): JSX.Element | null {
  if (facts.length === 0) return null;
  return (
    <dl class="liw-facts">
      {facts.map(({ label, value, level }) => (
        <div key={label} data-level={level}>
          <dt>{label}</dt>
          <dd>
            {level !== "plain" && [
              <LevelIcon key="icon" />,
              <span key="word" class="liw-hidden">
                {say(LEVELS[level])}
              </span>,
            ]}
            <bdi>{value}</bdi>
          </dd>
        </div>
      ))}
    </dl>
  );
}

/** What this method's scores must not be taken for: true of every run, so said quietly. */
export function Caution({ text }: { text: string }): JSX.Element | null {
  return text === "" ? null : <p class="liw-caution">{text}</p>;
}

export function Failure({ error }: { error: ErrorInfo }): JSX.Element {
  return (
    <div class="liw-failure" role="alert">
      <strong>{error.name}</strong>
      <span>{error.message}</span>
    </div>
  );
}

function LevelIcon(): JSX.Element {
  return (
    <svg class="liw-icon" viewBox="0 0 12 12" aria-hidden="true">
      <path d="M6 1.2 11.3 10.6H.7Z M6 4.6v2.8M6 8.7v.5" />
    </svg>
  );
}
