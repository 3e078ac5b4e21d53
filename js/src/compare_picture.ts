/** The strips as SVG: pieces from left to right, a row for each explanation. */

import { hex, over, PALETTES, position, type Theme } from "./colour";
import type { Comparison } from "./compare";
import { visible } from "./format";
import { FONT, type Measure, shorten, xml } from "./picture";
import type { Subject } from "./protocol.gen";
import { say } from "./say";
import * as W from "./words";

export interface ComparePicture {
  readonly subject: Subject;
  readonly target: string;
  readonly comparison: Comparison;
  readonly theme: Theme;
  readonly note: string;
}

const WIDTH = 900;
const MARGIN = 28;
const NAMES = 150;
const TOP = 90;
const ROW = 28;
const SIZE = 13;
const LEAST = 26;

export function compareSvg(picture: ComparePicture, measure: Measure): string {
  const { subject, target, comparison, theme, note } = picture;
  const { columns, strips } = comparison;
  const palette = PALETTES[theme];
  const [ink, paper] = [hex(palette.ink), hex(palette.paper)];
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const rule = hex(over(palette.ink, 0.14, palette.paper));
  const text = (x: number, y: number, words: string, more = ""): string =>
    `<text x="${x.toFixed(1)}" y="${y}" ${more}>${xml(words)}</text>`;
  const title = say(W.WHY_TARGET, { target });
  const marks: string[] = [];
  let x = MARGIN + NAMES;
  let top = TOP;
  const names = (): void => {
    strips.forEach(({ label }, row) => {
      marks.push(
        text(MARGIN, top + 26 + row * ROW + 18, shorten(label, NAMES - 10, measure, SIZE)),
      );
    });
  };
  names();
  columns.forEach((index, column) => {
    const name = visible((subject.inputs[index]?.text ?? "").trim());
    const width = Math.max(LEAST, (measure(name) * SIZE) / 17 + 12);
    if (x + width > WIDTH - MARGIN && x > MARGIN + NAMES) {
      x = MARGIN + NAMES;
      top += 26 + strips.length * ROW + 16;
      names();
    }
    marks.push(text(x + width / 2, top + 18, name, 'text-anchor="middle"'));
    strips.forEach(({ scores, unsure, readings }, row) => {
      const middle = top + 26 + row * ROW + ROW / 2;
      const t = position(scores[column] ?? Number.NaN, readings.largest);
      const hue = unsure[column]
        ? over(palette.ink, 0.26, palette.paper)
        : over(t < 0 ? palette.lowers : palette.raises, 0.85, palette.paper);
      const size = (Math.abs(t) * (ROW - 6)) / 2;
      marks.push(
        `<path d="M${x.toFixed(1)} ${middle}h${width.toFixed(1)}" stroke="${rule}"/>`,
        `<rect x="${(x + 2).toFixed(1)}" y="${(t > 0 ? middle - size : middle).toFixed(1)}" width="${(width - 4).toFixed(1)}" height="${size.toFixed(1)}" fill="${hex(hue)}"/>`,
      );
    });
    x += width;
  });
  const height = top + 26 + strips.length * ROW + 54;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="${xml(FONT)}" font-size="${SIZE}" fill="${ink}">`,
    `<title>${xml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${paper}"/>`,
    text(MARGIN, MARGIN + 6, subject.method_title, `font-size="12" fill="${muted}"`),
    text(MARGIN, MARGIN + 34, title, 'font-size="22" font-weight="600"'),
    ...marks,
    text(
      MARGIN,
      height - 18,
      `${say(W.STRIPS_PICTURE)} · ${note}`,
      `font-size="12" fill="${muted}"`,
    ),
    "</svg>",
  ].join("\n");
}
