/** The table twin of the picture: every number, sortable, copied as CSV. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import { tableCsv } from "../csv";
import { aligned, decimalsFor, percent, unitName, visible } from "../format";
import type { Subject } from "../protocol.gen";
import { isAbsent, type Reading, type Readings } from "../readings";
import { say } from "../say";
import * as W from "../words";
import { CopyButton } from "./copy";

type Column = "index" | "token" | "score" | "margin" | "share" | "rank";

interface Props {
  readonly subject: Subject;
  readonly readings: Readings;
}

export function TableTwin({ subject, readings }: Props): JSX.Element {
  const [column, setColumn] = useState<Column>("index");
  const [down, setDown] = useState(false);
  const rows = useMemo(
    () => sorted(readings.all, subject, column, down),
    [readings, subject, column, down],
  );
  const decimals = decimalsFor(readings.largest);
  const heads: [Column, string][] = [
    ["index", "#"],
    ["token", say(W.TOKEN)],
    ["score", unitName(subject.unit)],
    ["margin", "± 95 %"],
    ["share", say(W.SHARE)],
    ["rank", say(W.RANK)],
  ];
  const sortBy = (next: Column): void => {
    setDown(next === column ? !down : next === "score" || next === "share" || next === "margin");
    setColumn(next);
  };
  return (
    <div class="liw-fold-body">
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
      <div class="liw-table-box" role="group" aria-label={say(W.SCORES_OF_ALL_TOKENS)} tabIndex={0}>
        <table class="liw-table">
          <thead>
            <tr>
              {heads.map(([name, title]) => (
                <th
                  key={name}
                  scope="col"
                  data-column={name}
                  aria-sort={name !== column ? "none" : down ? "descending" : "ascending"}
                >
                  <button type="button" class="liw-sort" onClick={() => sortBy(name)}>
                    {title}
                    <span aria-hidden="true">{name !== column ? "" : down ? "↓" : "↑"}</span>
                  </button>
                </th>
              ))}
              <th scope="col" data-column="note">
                {say(W.NOTE)}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((reading) => (
              <tr key={reading.index} data-unsure={reading.unsure}>
                <td>{reading.index + 1}</td>
                <th scope="row">
                  <bdi>{visible(subject.inputs[reading.index]?.text ?? "")}</bdi>
                </th>
                <td>{aligned(reading.score, decimals)}</td>
                <td>{Number.isNaN(reading.margin) ? "–" : reading.margin.toFixed(decimals)}</td>
                <td>{percent(reading.share)}</td>
                <td>{reading.rank || "–"}</td>
                <td>{note(reading, subject)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <CopyButton
        label={say(W.COPY_CSV)}
        file="scores.csv"
        make={() => tableCsv(subject, readings)}
      />
    </div>
  );
}

function note(reading: Reading, subject: Subject): string {
  const token = subject.inputs[reading.index];
  if (isAbsent(reading)) return token?.special ? say(W.SPECIAL) : say(W.ABSENT);
  return reading.unsure ? say(W.INTERVAL_CROSSES_ZERO) : "";
}

function sorted(all: readonly Reading[], subject: Subject, column: Column, down: boolean) {
  const sign = down ? -1 : 1;
  const text = (reading: Reading): string => subject.inputs[reading.index]?.text ?? "";
  const known = (reading: Reading): boolean =>
    column === "token" ||
    column === "index" ||
    !(Number.isNaN(reading[column]) || (column === "rank" && reading.rank === 0));
  return all.slice().sort((a, b) => {
    if (known(a) !== known(b)) return known(a) ? -1 : 1;
    if (!known(a)) return a.index - b.index;
    const order = column === "token" ? text(a).localeCompare(text(b)) : a[column] - b[column];
    return order * sign || a.index - b.index;
  });
}
