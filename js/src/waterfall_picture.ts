/** The waterfall as SVG, with nothing in it but shapes and text. */

import { hex, over, PALETTES, type Palette, type Theme } from "./colour";
import { MINUS, magnitude, signed, unitName } from "./format";
import { FONT, type Measure, shorten, xml } from "./picture";
import type { Subject } from "./protocol.gen";
import { say } from "./say";
import { place, type Step, type Waterfall } from "./waterfall";
import * as W from "./words";

export interface WaterfallPicture {
  readonly subject: Subject;
  readonly target: string;
  readonly shape: Waterfall;
  readonly theme: Theme;
  readonly note: string;
  readonly names: (step: Step) => string;
}

const WIDTH = 760;
const MARGIN = 28;
const NAME = 150;
const VALUE = 110;
const TOP = 104;
const ROW = 28;
const TIP = 5;
const SIZE = 13;

export function waterfallSvg(picture: WaterfallPicture, measure: Measure): string {
  const { subject, target, shape, theme } = picture;
  const palette = PALETTES[theme];
  const ink = hex(palette.ink);
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const rule = hex(over(palette.ink, 0.14, palette.paper));
  const height = TOP + (shape.steps.length + 2) * ROW + 44;
  const bottom = TOP + (shape.steps.length + 2) * ROW;
  const x = (value: number): number =>
    MARGIN + NAME + (place(shape, value) / 100) * (WIDTH - 2 * MARGIN - NAME - VALUE);
  const shortened = (text: string): string => shorten(text, NAME - 12, measure, SIZE);
  const text = (at: number, y: number, words: string, more = ""): string =>
    `<text x="${at.toFixed(1)}" y="${y}" ${more}>${xml(words)}</text>`;
  const end = (row: number, words: string, value: number): string => {
    const y = TOP + row * ROW + 18;
    return (
      text(MARGIN, y, words, `fill="${muted}"`) +
      `<path d="M${x(value).toFixed(1)} ${y - 14}v20" stroke="${ink}" stroke-width="2"/>` +
      text(WIDTH - MARGIN, y, plain(value), 'text-anchor="end" font-weight="600"')
    );
  };
  const rows = shape.steps.map((step, i) => {
    const y = TOP + (i + 1) * ROW + 18;
    const whisker =
      step.margin > 0
        ? `<path d="M${x(step.to - step.margin).toFixed(1)} ${y - 4.5}H${x(step.to + step.margin).toFixed(1)}" stroke="${ink}" stroke-width="1.5"/>`
        : "";
    return (
      `<path d="M${x(step.to).toFixed(1)} ${y - 4.5}v${-ROW}" stroke="${muted}" stroke-dasharray="2 2"/>` +
      bar(x(step.from), x(step.to), y - 13, step, palette) +
      whisker +
      text(MARGIN, y, shortened(picture.names(step))) +
      text(WIDTH - MARGIN, y, signed(step.to - step.from), 'text-anchor="end"')
    );
  });
  const title = say(W.WHY_TARGET, { target });
  const grid = shape.ticks.map(
    (tick) =>
      `<path d="M${x(tick).toFixed(1)} ${TOP}V${bottom}" stroke="${rule}"/>` +
      text(
        x(tick),
        TOP - 6,
        `${tick < 0 ? MINUS : ""}${Math.abs(tick)}`,
        `text-anchor="middle" font-size="11" fill="${muted}"`,
      ),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="${xml(FONT)}" font-size="${SIZE}" fill="${ink}">`,
    `<title>${xml(title)}</title>`,
    `<defs><pattern id="unsure" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="${muted}" stroke-opacity=".6"/></pattern></defs>`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    text(MARGIN, MARGIN + 6, subject.method_title, `font-size="12" fill="${muted}"`),
    text(MARGIN, MARGIN + 34, title, 'font-size="22" font-weight="600"'),
    ...grid,
    end(0, say(W.TEXT_AS_IT_IS), shape.output),
    ...rows,
    end(shape.steps.length + 1, say(W.ALL_SWITCHED_OFF), shape.base),
    text(
      MARGIN,
      bottom + 28,
      `${say(W.BLUE_LOWERS, { unit: unitName(subject.unit), target })} · ${picture.note}`,
      `font-size="12" fill="${muted}"`,
    ),
    "</svg>",
  ].join("\n");
}

/** A bar with a tip that points where it goes, so that colour is not the only sign. */
function bar(from: number, to: number, y: number, step: Step, palette: Palette): string {
  const way = Math.sign(to - from);
  const tip = way * Math.min(TIP, Math.abs(to - from));
  const path = `M${from.toFixed(1)} ${y}H${(to - tip).toFixed(1)}L${to.toFixed(1)} ${y + 8.5}L${(to - tip).toFixed(1)} ${y + 17}H${from.toFixed(1)}Z`;
  const hue = hex(over(way < 0 ? palette.lowers : palette.raises, 0.85, palette.paper));
  const outline = hex(over(palette.ink, 0.5, palette.paper));
  const plainFill = step.kind === "rest" ? "none" : hue;
  return step.unsure || step.kind === "rest"
    ? `<path d="${path}" fill="${step.unsure ? "url(#unsure)" : plainFill}" stroke="${outline}" stroke-width=".75"/>`
    : `<path d="${path}" fill="${hue}"/>`;
}

function plain(value: number): string {
  return `${value < 0 ? MINUS : ""}${magnitude(value)}`;
}
