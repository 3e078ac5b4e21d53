/** The table as CSV, with full precision, for a spreadsheet or pandas. */

import type { Subject } from "./protocol.gen";
import { isAbsent, type Readings, Z95 } from "./readings";

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
  return new Blob([`${[HEAD, ...rows].join("\n")}\n`], { type: "text/csv" });
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
