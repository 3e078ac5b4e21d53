/** The numeric twin of the overview: every head with its scores. */

import type { JSX } from "preact";
import { useMemo, useState } from "preact/hooks";
import type { Overview, Stack } from "../../attention/board";
import { type HeadAt, ranked, SCORES, scoreOf } from "../../attention/ranking";
import { magnitude } from "../../format";
import { say } from "../../say";
import * as W from "../../words";
import { CopyButton } from "../copy";

interface Props {
  readonly drawn: Overview | null;
  readonly stack: Stack;
  readonly onOpen: (at: HeadAt) => void;
}

export function HeadTable({ drawn, stack, onOpen }: Props): JSX.Element {
  const [sort, setSort] = useState("");
  const rows = useMemo(() => ranked(drawn, stack, sort, 0), [drawn, stack, sort]);
  const names = Object.keys(SCORES);
  const csv = (): string =>
    [
      ["layer", "head", ...names].join(","),
      ...rows.map((at) =>
        [at.layer, at.head, ...names.map((name) => scoreOf(drawn, stack, name, at))].join(","),
      ),
    ].join("\n");
  const head = (name: string, words: string): JSX.Element => (
    <th key={name} scope="col" aria-sort={name === sort ? "descending" : "none"}>
      <button type="button" class="liw-sort" onClick={() => setSort(name)}>
        {words}
        <span aria-hidden="true">{name === sort ? "↓" : ""}</span>
      </button>
    </th>
  );
  return (
    <div class="liw-fold-body">
      {/* biome-ignore lint/a11y/useSemanticElements: no fieldset, it only scrolls */}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable */}
      <div class="liw-table-box" role="group" aria-label={say(W.SCORES_OF_ALL_HEADS)} tabIndex={0}>
        <table class="liw-table">
          <thead>
            <tr>
              {head("", say(W.LAYER_HEAD))}
              {names.map((name) => head(name, say(SCORES[name]?.[0] ?? name)))}
            </tr>
          </thead>
          <tbody>
            {rows.map((at) => (
              <tr key={`${at.layer}.${at.head}`}>
                <th scope="row">
                  <button type="button" class="liw-sort" onClick={() => onOpen(at)}>
                    {`${at.layer}.${at.head}`}
                  </button>
                </th>
                {names.map((name) => (
                  <td key={name}>{magnitude(scoreOf(drawn, stack, name, at))}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <CopyButton
        label={say(W.COPY_CSV)}
        file="heads.csv"
        make={() => new Blob([csv()], { type: "text/csv" })}
      />
    </div>
  );
}
