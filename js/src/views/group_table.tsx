/** The numeric twin of many texts: a row a word, sortable, copied as CSV. */

import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Group } from "../collection";
import { groupsCsv } from "../csv";
import { aligned, decimalsFor, unitName } from "../format";
import type { Unit } from "../protocol.gen";
import { say } from "../say";
import * as W from "../words";
import { CopyButton } from "./copy";

type Column = "name" | "texts" | "mean" | "size" | "margin" | "correlation";

interface Props {
  readonly rows: readonly Group[];
  readonly unit: Unit;
}

/** More rows than a reader looks at make a page slow; the copy has them all. */
const SHOWN = 500;

export function GroupTable({ rows, unit }: Props): JSX.Element {
  const given = rows.some(({ values }) => values !== null);
  const [by, setBy] = useState<Column>(given ? "correlation" : "size");
  const [down, setDown] = useState(true);
  const value = (row: Group): number => {
    if (by === "texts") return row.texts.length;
    return by === "name" ? 0 : row[by] || 0;
  };
  const order = [...rows].sort(
    (a, b) =>
      (by === "name" ? a.name.localeCompare(b.name) : value(a) - value(b)) * (down ? -1 : 1),
  );
  const decimals = decimalsFor(rows[0]?.size ?? 1);
  const heads: [Column, string][] = [
    ["name", say(W.ROW)],
    ["texts", say(W.TEXTS)],
    ["mean", say(W.MEAN_UNIT, { unit: unitName(unit) })],
    ["size", say(W.MEAN_SIZE)],
    ["margin", "± 95 %"],
  ];
  if (given) heads.push(["correlation", say(W.RANK_CORRELATION)]);
  return (
    <div class="liw-fold-body">
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
      <div class="liw-table-box" role="group" aria-label={say(W.MEANS_OF_ALL_ROWS)} tabIndex={0}>
        <table class="liw-table">
          <thead>
            <tr>
              {heads.map(([name, title]) => (
                <th
                  key={name}
                  scope="col"
                  data-column={name === "name" ? "token" : name}
                  aria-sort={name !== by ? "none" : down ? "descending" : "ascending"}
                >
                  <button
                    type="button"
                    class="liw-sort"
                    onClick={() => {
                      setDown(name === by ? !down : name !== "name");
                      setBy(name);
                    }}
                  >
                    {title}
                    <span aria-hidden="true">{name !== by ? "" : down ? "↓" : "↑"}</span>
                  </button>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {order.slice(0, SHOWN).map(({ name, texts, mean, size, margin, correlation }) => (
              <tr key={name}>
                <th scope="row">
                  <bdi>{name}</bdi>
                </th>
                <td>{texts.length}</td>
                <td>{aligned(mean, decimals)}</td>
                <td>{size.toFixed(decimals)}</td>
                <td>{Number.isNaN(margin) ? "–" : margin.toFixed(decimals)}</td>
                {given && <td>{aligned(correlation, 2)}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {rows.length > SHOWN && (
        <p class="liw-muted">{say(W.FIRST_ROWS_ONLY, { shown: SHOWN, n: rows.length })}</p>
      )}
      <CopyButton label={say(W.COPY_CSV)} file="texts.csv" make={() => groupsCsv(rows)} />
    </div>
  );
}
