/** The matrix as SVG: the cells as one image, the names as text. */

import { clamp } from "./clamp";
import { hex, PALETTES, type Theme } from "./colour";
import { brief, signed, unitName, visible } from "./format";
import { largestOf } from "./matrix";
import { FONT, xml } from "./picture";
import type { Subject, TokenInfo } from "./protocol.gen";
import { say } from "./say";
import type { Row } from "./store";
import * as W from "./words";

export interface MatrixPicture {
  readonly subject: Subject;
  readonly rows: readonly (Row | null)[];
  readonly theme: Theme;
  readonly note: string;
}

/** Top left corner of the cells. */
const X = 148;
const Y = 150;
const ROW = 18;

export function matrixSvg(picture: MatrixPicture, image: HTMLCanvasElement | null): string {
  const { subject, rows, theme, note } = picture;
  const palette = PALETTES[theme];
  const cell = clamp(900 / subject.inputs.length, 3, ROW);
  const [width, height] = [subject.inputs.length * cell, rows.length * ROW];
  const [right, low] = [X + width + 68, Y + height + 44];
  const limit = largestOf(rows);
  const name = (place: string, { text }: TokenInfo): string =>
    `<text ${place}>${xml(brief(visible(text), 19))}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${right} ${low}" width="${right}" height="${low}" font-family="${xml(FONT)}" font-size="11" fill="${hex(palette.ink)}">`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    `<image x="${X}" y="${Y}" width="${width}" height="${height}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${image?.toDataURL() ?? ""}"/>`,
    ...subject.outputs.map((token, i) =>
      name(`x="${X - 6}" y="${Y + i * ROW + 13}" text-anchor="end"`, token),
    ),
    ...(cell < 9 ? [] : subject.inputs).map((token, i) =>
      name(`transform="translate(${X + (i + 0.6) * cell} ${Y - 5}) rotate(-60)"`, token),
    ),
    `<text x="28" y="${low - 16}">${xml(
      `${subject.method_title}: ${say(W.MATRIX_COLOURS, { unit: unitName(subject.unit), low: signed(-limit), high: signed(limit) })} · ${note}`,
    )}</text>`,
    "</svg>",
  ].join("\n");
}
