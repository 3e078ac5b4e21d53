/**
 * Why a head attends here: its score split over dimensions, and by what earlier parts of the model
 * wrote, on the side of the query and on that of the key.
 */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Answer, type Board, type Ref, type Stack, wantOf } from "../../attention/board";
import { floats } from "../../decode";
import { aligned, decimalsFor, signed } from "../../format";
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
    return (
      <p class="liw-muted liw-heads-hint">
        Pin a cell of the matrix (click, or Enter): here its score is split into what made it.
      </p>
    );
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
        <bdi>“{names[0]}”</bdi> scores <bdi>“{names[1]}”</bdi> with <b>{signed(score)}</b> before
        the softmax.
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
        <p class="liw-muted liw-heads-small">By earlier component: {why}</p>
      ) : (
        <p>
          <button type="button" class="liw-button" disabled={wanted} onClick={() => setAsked(cell)}>
            Split by earlier component
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
            title={`dimension ${i}: ${signed(value)}`}
            data-kind={value < 0 ? "lowers" : "raises"}
            style={{ "--tall": (Math.abs(value) / largest).toFixed(3) }}
          />
        ))}
      </div>
      <figcaption class="liw-muted">
        {`Over ${values.length} dimensions, together ${signed(total)}; the ${few.length} largest (${few.join(", ")}) make ${signed(share)}.`}
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
    [`What was written at “${names[0]}” (query)`, floats(answer.buffers[0])],
    [`What was written at “${names[1]}” (key)`, floats(answer.buffers[1])],
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
  if (order.length > SHOWN) rows.push([`${order.length - SHOWN} others`, rest]);
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
