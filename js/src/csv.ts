/** The table as CSV, with full precision, for a spreadsheet or pandas. */

import type { Group } from "./collection";
import type { Neighbourhood, Sample } from "./neighbourhood";
import type { Subject } from "./protocol.gen";
import { isAbsent, type Readings, Z95 } from "./readings";
import type { Row } from "./store";

const HEAD = "position,start,end,token,special,role,score,standard_error,rank";

export function tableCsv(subject: Subject, readings: Readings): Blob {
  const rows = readings.all.flatMap((reading) => {
    const token = subject.inputs[reading.index];
    if (token === undefined) return [];
    const absent = isAbsent(reading);
    return [
      [
        reading.index,
        token.start,
        token.end,
        quoted(token.text),
        token.special,
        quoted(token.role ?? ""),
        absent ? "" : shortest(reading.score),
        Number.isNaN(reading.margin) ? "" : shortest(reading.margin / Z95),
        absent ? "" : reading.rank,
      ].join(","),
    ];
  });
  return csv(HEAD, rows);
}

/** A row for each output, a column for each input; absent scores are empty. */
export function matrixCsv(subject: Subject, rows: readonly (Row | null)[]): Blob {
  const lines = subject.outputs.map((token, i) =>
    [quoted(token.text), ...subject.inputs.map((_, x) => cell(rows[i]?.scores[x]))].join(","),
  );
  return csv(["output", ...subject.inputs.map((token) => quoted(token.text))].join(","), lines);
}

/** A row for each piece, a column for each of several explanations. */
export function columnsCsv(
  labels: readonly string[],
  pieces: readonly string[],
  columns: readonly (readonly number[])[],
): Blob {
  const lines = pieces.map((piece, i) =>
    [i, quoted(piece), ...columns.map((column) => cell(column[i]))].join(","),
  );
  return csv(["position", "token", ...labels.map(quoted)].join(","), lines);
}

/** A row for each masked text, a column for each piece: 1 where it was on. */
export function samplesCsv(subject: Subject, seen: Neighbourhood, all: readonly Sample[]): Blob {
  const head = ["model", "linear_model", "proximity"];
  const pieces = seen.places.map((place) => quoted(subject.inputs[place]?.text ?? ""));
  const lines = all.map(({ index, said, predicted, proximity }) =>
    [said, predicted, proximity, ...seen.places.map((_, i) => Number(seen.isOn(index, i)))].join(
      ",",
    ),
  );
  return csv([...head, ...pieces].join(","), lines);
}

/** A row for each word, place or group. */
export function groupsCsv(rows: readonly Group[]): Blob {
  const known = (value: number): number | "" => (Number.isNaN(value) ? "" : value);
  const lines = rows.map(({ name, texts, mean, size, margin, correlation }) =>
    [quoted(name), texts.length, mean, size, known(margin), known(correlation)].join(","),
  );
  return csv("row,texts,mean,mean_size,margin_95,rank_correlation", lines);
}

function cell(score: number | undefined): string {
  return score === undefined || Number.isNaN(score) ? "" : shortest(score);
}

function csv(head: string, lines: readonly string[]): Blob {
  return new Blob([`${[head, ...lines].join("\n")}\n`], { type: "text/csv" });
}

/** The shortest digits that give the same float32 again. */
function shortest(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === Math.fround(value)) return String(Number(text));
  }
  return String(value);
}

/**
 * A CSV field. A text that a spreadsheet would run as a formula is kept as text by a leading
 * apostrophe.
 */
function quoted(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
}
