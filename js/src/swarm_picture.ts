/** Many texts as SVG: dots around their rows' lines, or bars. */

import type { Collection, Group } from "./collection";
import { hex, over, PALETTES, type Theme } from "./colour";
import { magnitude, signed, unitName } from "./format";
import { FONT, type Measure, shorten, xml } from "./picture";
import { say } from "./say";
import { reachOf, swarm } from "./swarm";
import { type ColourBy, colours } from "./views/swarm";
import { ticks } from "./waterfall";
import * as W from "./words";

export interface SwarmPicture {
  readonly data: Collection;
  readonly rows: readonly Group[];
  readonly output: number;
  readonly theme: Theme;
  readonly target: string;
  readonly title: string;
  readonly bars: boolean;
  readonly colourBy: ColourBy;
}

const WIDTH = 760;
const MARGIN = 28;
const NAMES = 140;
const VALUES = 60;
const TOP = 104;
const ROW = 32;
const SIZE = 13;

export function swarmSvg(picture: SwarmPicture, measure: Measure): string {
  const { data, rows, output, theme, target, bars } = picture;
  const palette = PALETTES[theme];
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const rule = hex(over(palette.ink, 0.14, palette.paper));
  const [low, high] = bars
    ? [0, Math.max(...rows.map(({ size, margin }) => size + (margin || 0)))]
    : reachOf(rows);
  const left = MARGIN + NAMES + 10;
  const x = (value: number): number =>
    left + ((value - low) * (WIDTH - MARGIN - left - (bars ? VALUES : 0))) / (high - low || 1);
  const bottom = TOP + rows.length * ROW;
  const text = (at: number, y: number, words: string, more = ""): string =>
    `<text x="${at.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${xml(words)}</text>`;
  const colour = colours(data, output, theme, picture.colourBy);
  const marks = rows.map((group, row) => {
    const middle = TOP + (row + 0.5) * ROW;
    const name = text(
      MARGIN + NAMES,
      middle + 4,
      shorten(group.name, NAMES, measure, SIZE),
      'text-anchor="end"',
    );
    if (bars) {
      const hue = over(group.mean < 0 ? palette.lowers : palette.raises, 0.85, palette.paper);
      return `${name}<rect x="${left}" y="${middle - 8}" width="${(x(group.size) - left).toFixed(1)}" height="16" fill="${hex(hue)}"/>${
        group.margin > 0
          ? `<path d="M${x(Math.max(0, group.size - group.margin)).toFixed(1)} ${middle}H${x(group.size + group.margin).toFixed(1)}" stroke="${hex(palette.ink)}"/>`
          : ""
      }${text(WIDTH - MARGIN, middle + 4, magnitude(group.size), 'text-anchor="end"')}`;
    }
    const dots = swarm(group.scores, x, 5, ROW / 2 - 4);
    const hue = colour(group);
    const circles = Array.from(
      group.texts,
      (_, i) =>
        `<circle cx="${dots.x[i]?.toFixed(1)}" cy="${(middle + (dots.y[i] ?? 0)).toFixed(1)}" r="2.4" fill="${hue(i)}"/>`,
    );
    return name + circles.join("");
  });
  const unit = unitName(data.unit);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${bottom + 44}" viewBox="0 0 ${WIDTH} ${bottom + 44}" role="img" font-family="${xml(FONT)}" font-size="${SIZE}" fill="${hex(palette.ink)}">`,
    `<title>${xml(picture.title)}</title>`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    text(MARGIN, MARGIN + 6, data.title, `font-size="12" fill="${muted}"`),
    text(MARGIN, MARGIN + 34, picture.title, 'font-size="22" font-weight="600"'),
    ...ticks(low, high).map(
      (tick) =>
        `<path d="M${x(tick).toFixed(1)} ${TOP}V${bottom}" stroke="${tick === 0 ? muted : rule}"/>` +
        text(x(tick), TOP - 6, signed(tick), `text-anchor="middle" font-size="11" fill="${muted}"`),
    ),
    ...marks,
    text(
      MARGIN,
      bottom + 28,
      bars ? say(W.BARS_PICTURE, { unit, target }) : say(W.DOTS_PICTURE, { unit, target }),
      `font-size="12" fill="${muted}"`,
    ),
    "</svg>",
  ].join("\n");
}
