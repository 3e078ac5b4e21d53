/** Bars around zero as SVG: the largest scores of one text, with their 95 % intervals. */

import { hex, over, PALETTES, type Theme } from "./colour";
import { aligned, decimalsFor, signed, unitName, visible } from "./format";
import { FONT, type Measure, shorten, xml } from "./picture";
import type { Subject } from "./protocol.gen";
import type { Reading, Readings } from "./readings";
import { say } from "./say";
import { ticks } from "./waterfall";
import * as W from "./words";

export interface BarsPicture {
  readonly subject: Subject;
  readonly target: string;
  readonly readings: Readings;
  readonly theme: Theme;
  readonly note: string;
}

const WIDTH = 760;
const MARGIN = 28;
const NAME = 170;
const VALUE = 70;
const TOP = 104;
const ROW = 26;
const SHOWN = 20;
const SIZE = 13;

export function barsSvg(picture: BarsPicture, measure: Measure): string {
  const { subject, target, readings, theme, note } = picture;
  const palette = PALETTES[theme];
  const ink = hex(palette.ink);
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const rule = hex(over(palette.ink, 0.14, palette.paper));
  const shown = readings.ranked.slice(0, SHOWN);
  const ends = shown.flatMap(({ score, margin }) => [score - (margin || 0), score + (margin || 0)]);
  const [low, high] = [Math.min(0, ...ends), Math.max(0, ...ends)];
  const width = WIDTH - 2 * MARGIN - NAME - VALUE;
  const x = (value: number): number => MARGIN + NAME + (width * (value - low)) / (high - low || 1);
  const bottom = TOP + shown.length * ROW;
  const text = (at: number, y: number, said: string, more = ""): string =>
    `<text x="${at.toFixed(1)}" y="${y}" ${more}>${xml(said)}</text>`;
  const bar = ({ index, score, margin, unsure }: Reading, i: number): string => {
    const y = TOP + i * ROW;
    const hue = over(score < 0 ? palette.lowers : palette.raises, 0.85, palette.paper);
    const fill = hex(unsure ? over(palette.ink, 0.26, palette.paper) : hue);
    const [from, to] = [x(Math.min(0, score)), x(Math.max(0, score))];
    const name = shorten(visible(subject.inputs[index]?.text ?? ""), NAME - 14, measure, SIZE);
    const whisker =
      margin > 0
        ? `<path d="M${x(score - margin).toFixed(1)} ${y + 11.5}H${x(score + margin).toFixed(1)}" stroke="${ink}"/>`
        : "";
    return (
      text(MARGIN + NAME - 12, y + 16, name, 'text-anchor="end"') +
      `<rect x="${from.toFixed(1)}" y="${y + 4}" width="${(to - from).toFixed(1)}" height="15" fill="${fill}"/>` +
      whisker +
      text(WIDTH - MARGIN, y + 16, aligned(score, decimals), 'text-anchor="end"')
    );
  };
  const decimals = decimalsFor(readings.largest);
  const title = say(W.WHY_TARGET, { target });
  const n = readings.ranked.length - shown.length;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${bottom + 44}" viewBox="0 0 ${WIDTH} ${bottom + 44}" role="img" font-family="${xml(FONT)}" font-size="${SIZE}" fill="${ink}">`,
    `<title>${xml(title)}</title>`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    text(MARGIN, MARGIN + 6, subject.method_title, `font-size="12" fill="${muted}"`),
    text(MARGIN, MARGIN + 34, title, 'font-size="22" font-weight="600"'),
    ...ticks(low, high).map(
      (tick) =>
        `<path d="M${x(tick).toFixed(1)} ${TOP}V${bottom}" stroke="${tick === 0 ? muted : rule}"/>` +
        text(x(tick), TOP - 6, signed(tick), `text-anchor="middle" font-size="11" fill="${muted}"`),
    ),
    ...shown.map(bar),
    text(
      MARGIN,
      bottom + 28,
      [
        say(W.UNIT_FOR_TARGET, { unit: unitName(subject.unit), target }),
        ...(n > 0 ? [say(W.N_SMALLER_ONES_NOT_SHOWN, { n })] : []),
        note,
      ].join(" · "),
      `font-size="12" fill="${muted}"`,
    ),
    "</svg>",
  ].join("\n");
}
