/**
 * Why a head attends here: its score split over dimensions, and by what earlier parts of the model
 * wrote, on the side of the query and on that of the key.
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Answer, type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { floats } from "../../decode";
import { aligned, decimalsFor, signed } from "../../format";
import { phrase, say } from "../../say";
import * as W from "../../words";
import { useAnswers } from "./hooks";

const SHOWN = 10;

interface Props {
  readonly board: Board;
  readonly stack: Stack;
  readonly head: Ref;
  readonly query: number | null;
  readonly key_: number | null;
  readonly names: readonly [query: string, key: string];
}

export function Why({ board, stack, head, query, key_, names }: Props): JSX.Element {
  const [asked, setAsked] = useState("");
  const ready = query !== null && key_ !== null && query >= 0 && key_ >= 0 && head.head >= 0;
  const at = { a: query ?? 0, b: key_ ?? 0 };
  const cell = `${head.layer}.${head.head}.${at.a}.${at.b}`;
  const [split] = useAnswers(board, "split", ready ? [wantOf("split", head, at)] : []);
  const wanted = ready && asked === cell;
  const [parts] = useAnswers(board, "parts", wanted ? [wantOf("parts", head, at)] : []);
  if (!ready) {
    return <p class="liw-muted liw-heads-hint">{say(W.PIN_A_CELL)}</p>;
  }
  const failed = split?.error ?? parts?.error;
  const why = stack.cannot["parts"];
  const dimensions = floats(split?.buffers[0]);
  const rest = floats(split?.buffers[1]);
  const [score = Number.NaN] = floats(split?.buffers[2]);
  const restNames = (split?.said["rest"] ?? "").split("\n").filter((name) => name !== "");
  return (
    <div class="liw-heads-why">
      <p>
        {phrase(W.SCORES_BEFORE_SOFTMAX, {
          query: <bdi>“{names[0]}”</bdi>,
          key: <bdi>“{names[1]}”</bdi>,
          score: <b>{signed(score)}</b>,
        })}
      </p>
      {failed && (
        <p class="liw-heads-problem" role="alert">
          {failed.message}
        </p>
      )}
      {dimensions.length > 0 && <Dimensions values={dimensions} />}
      {restNames.map((name, i) => (
        <p class="liw-muted liw-heads-small" key={name}>
          {name}: {signed(rest[i] ?? 0)}
        </p>
      ))}
      {why ? (
        <p class="liw-muted liw-heads-small">{say(W.BY_EARLIER_COMPONENT_WHY, { why })}</p>
      ) : (
        <p>
          <button
            type="button"
            class="liw-button"
            disabled={wanted && !parts?.error}
            onClick={() => {
              setAsked(""); // a failure may be tried again
              setTimeout(() => setAsked(cell));
            }}
          >
            {say(W.SPLIT_BY_EARLIER_COMPONENT)}
          </button>{" "}
          <span class="liw-muted liw-heads-small" role="status">
            {wanted && !parts?.buffers.length && !parts?.error
              ? (parts?.said["progress"] ?? "…")
              : ""}
          </span>
        </p>
      )}
      {wanted && parts && parts.buffers.length > 0 && <Parts answer={parts} names={names} />}
    </div>
  );
}

/** A bar a dimension, and the running sum of the largest ones in words. */
function Dimensions({ values }: { values: Float32Array }): JSX.Element {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  const total = values.reduce((sum, value) => sum + value, 0);
  const order = [...values.keys()].sort(
    (a, b) => Math.abs(values[b] ?? 0) - Math.abs(values[a] ?? 0),
  );
  const few = order.slice(0, 8);
  const share = few.reduce((sum, i) => sum + (values[i] ?? 0), 0);
  return (
    <figure class="liw-heads-dims">
      <div class="liw-heads-bars" aria-hidden="true">
        {[...values].map((value, i) => (
          <span
            key={i}
            title={say(W.DIMENSION, { i, value: signed(value) })}
            data-kind={value < 0 ? "lowers" : "raises"}
            style={{ "--tall": (Math.abs(value) / largest).toFixed(3) }}
          />
        ))}
      </div>
      <figcaption class="liw-muted">
        {say(W.OVER_DIMENSIONS, {
          n: values.length,
          total: signed(total),
          few: few.length,
          which: few.join(", "),
          share: signed(share),
        })}
      </figcaption>
    </figure>
  );
}

function Parts({
  answer,
  names,
}: {
  answer: Answer;
  names: readonly [string, string];
}): JSX.Element {
  const labels = (answer.said["names"] ?? "").split("\n");
  const sides = [
    [say(W.WRITTEN_AT_QUERY, { token: names[0] }), floats(answer.buffers[0])],
    [say(W.WRITTEN_AT_KEY, { token: names[1] }), floats(answer.buffers[1])],
  ] as const;
  return (
    <>
      <div class="liw-heads-sides">
        {sides.map(([title, values]) => (
          <PartList key={title} title={title} labels={labels} values={values} />
        ))}
      </div>
      {answer.said["note"] && <p class="liw-muted liw-heads-small">{answer.said["note"]}</p>}
    </>
  );
}

interface ListProps {
  readonly title: string;
  readonly labels: readonly string[];
  readonly values: Float32Array;
}

function PartList({ title, labels, values }: ListProps): JSX.Element {
  const order = [...values.keys()].sort(
    (a, b) => Math.abs(values[b] ?? 0) - Math.abs(values[a] ?? 0),
  );
  const largest = Math.abs(values[order[0] ?? 0] ?? 0) || 1;
  const decimals = decimalsFor(largest);
  const rest = order.slice(SHOWN).reduce((sum, i) => sum + (values[i] ?? 0), 0);
  const rows = order.slice(0, SHOWN).map((i) => [labels[i] ?? "", values[i] ?? 0] as const);
  if (order.length > SHOWN) rows.push([say(W.N_OTHERS, { n: order.length - SHOWN }), rest]);
  return (
    <table class="liw-table liw-heads-parts">
      <caption>{title}</caption>
      <tbody>
        {rows.map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            <td>{aligned(value, decimals)}</td>
            <td aria-hidden="true">
              <span
                class="liw-heads-bar"
                data-kind={value < 0 ? "lowers" : "raises"}
                style={{ width: `${Math.min(100, (100 * Math.abs(value)) / largest)}%` }}
              />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
