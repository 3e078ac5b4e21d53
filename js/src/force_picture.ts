/** The force plot as SVG, with nothing in it but shapes and text. */

import { hex, over, PALETTES, type Theme } from "./colour";
import type { Force, Segment } from "./force";
import { MINUS, magnitude, signed, unitName } from "./format";
import { FONT, type Measure, xml } from "./picture";
import type { Subject } from "./protocol.gen";
import { say } from "./say";
import { place } from "./waterfall";
import * as W from "./words";

export interface ForcePicture {
  readonly subject: Subject;
  readonly target: string;
  readonly shape: Force;
  readonly theme: Theme;
  readonly note: string;
  readonly names: (segment: Segment) => string;
}

const WIDTH = 760;
const HEIGHT = 256;
const MARGIN = 28;
const TOP = 124;
const BAR = 46;
const TIP = 6;
/** `Measure` is for the size of running text; names are set smaller. */
const NAME_SCALE = 12 / 17;

export function forceSvg(picture: ForcePicture, measure: Measure): string {
  const { subject, target, shape, theme, note } = picture;
  const palette = PALETTES[theme];
  const ink = hex(palette.ink);
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const x = (value: number): number => MARGIN + (place(shape, value) / 100) * (WIDTH - 2 * MARGIN);
  const text = (at: number, y: number, said: string, more = ""): string =>
    `<text x="${at.toFixed(1)}" y="${y}" ${more}>${xml(said)}</text>`;
  const bars = shape.segments.map((segment) => {
    const [left, right] = [x(segment.low), x(segment.high)];
    const way = Math.sign(segment.score);
    const tip = Math.min(TIP, right - left) * way;
    const [from, to] = way > 0 ? [left, right] : [right, left];
    const path = `M${from.toFixed(1)} ${TOP}H${(to - tip).toFixed(1)}L${to.toFixed(1)} ${TOP + BAR / 2}L${(to - tip).toFixed(1)} ${TOP + BAR}H${from.toFixed(1)}L${(from + tip).toFixed(1)} ${TOP + BAR / 2}Z`;
    const hue = way < 0 ? palette.lowers : palette.raises;
    const bare = segment.unsure || segment.kind === "rest";
    const fill = segment.unsure
      ? "url(#unsure)"
      : bare
        ? "none"
        : hex(over(hue, 0.34, palette.paper));
    const edge = bare ? muted : hex(hue);
    const name = picture.names(segment);
    const wide = Math.max(measure(name), measure(signed(segment.score))) * NAME_SCALE;
    const fits = wide + 18 < right - left;
    const middle = (left + right) / 2 + tip / 2;
    const label = fits
      ? text(middle, TOP + 20, name, 'text-anchor="middle" font-size="12"') +
        text(middle, TOP + 36, signed(segment.score), `text-anchor="middle" font-size="11"`)
      : "";
    return `<path d="${path}" fill="${fill}" stroke="${edge}" stroke-width=".75"><title>${xml(`${name} ${signed(segment.score)}`)}</title></path>${label}`;
  });
  const end = (said: string, value: number, y: number): string => {
    const left = place(shape, value) > 50;
    return (
      `<path d="M${x(value).toFixed(1)} ${y}V${TOP + BAR + 4}" stroke="${ink}" stroke-width="2"/>` +
      text(
        x(value) + (left ? -6 : 6),
        y + 10,
        `${said} ${plain(value)}`,
        `font-size="12" text-anchor="${left ? "end" : "start"}"`,
      )
    );
  };
  const ticks = shape.ticks.map(
    (tick) =>
      `<path d="M${x(tick).toFixed(1)} ${TOP + BAR + 6}v5" stroke="${muted}"/>` +
      text(
        x(tick),
        TOP + BAR + 24,
        plain(tick),
        `text-anchor="middle" font-size="11" fill="${muted}"`,
      ),
  );
  const title = say(W.WHY_TARGET, { target });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" font-family="${xml(FONT)}" font-size="13" fill="${ink}">`,
    `<title>${xml(title)}</title>`,
    `<defs><pattern id="unsure" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="${muted}" stroke-opacity=".6"/></pattern></defs>`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    text(MARGIN, MARGIN + 6, subject.method_title, `font-size="12" fill="${muted}"`),
    text(MARGIN, MARGIN + 34, title, 'font-size="22" font-weight="600"'),
    ...bars,
    end(say(W.ALL_SWITCHED_OFF_INLINE), shape.base, TOP - 40),
    end(say(W.TEXT_AS_IT_IS_INLINE), shape.output, TOP - 20),
    ...ticks,
    text(
      MARGIN,
      HEIGHT - 18,
      `${say(W.ORANGE_PUSHES_UP, { unit: unitName(subject.unit), target })} · ${note}`,
      `font-size="12" fill="${muted}"`,
    ),
    "</svg>",
  ].join("\n");
}

function plain(value: number): string {
  return `${value < 0 ? MINUS : ""}${magnitude(value)}`;
}
