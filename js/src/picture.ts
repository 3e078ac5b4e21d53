/**
 * The picture of a text as SVG: the same words, tints and underlines, laid out by our own
 * code from measured text, so that it opens anywhere and needs no HTML inside.
 */

import { hex, over, PALETTES, type Palette, position, type Theme, tint, underline } from "./colour";
import { signed, unitName, visible } from "./format";
import { splitLead } from "./pieces";
import type { Subject } from "./protocol.gen";
import { isAbsent, type Reading, type Readings, targetName } from "./readings";
import { say } from "./say";
import * as W from "./words";

export interface PictureState {
  readonly subject: Subject;
  readonly output: number;
  readonly readings: Readings;
  readonly limit: number;
  readonly selected: number | null;
  readonly theme: Theme;
  /** What the footer says, e.g. the verdict. */
  readonly note: string;
}

/** Width of a text in pixels, in the font of the picture's running text. */
export type Measure = (text: string) => number;

export interface Piece {
  readonly index: number;
  readonly text: string;
  readonly x: number;
  readonly line: number;
  readonly width: number;
}

export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const SIZE = 17;
const LINE = 32;
const MARGIN = 28;
const WIDTH = 760;
const HEAD = 80;
const LEGEND = 76;
const LEGEND_WIDTH = 180;

export function canvasMeasure(): Measure {
  const context = document.createElement("canvas").getContext("2d");
  if (context === null) return (text) => [...text].length * SIZE * 0.55;
  context.font = `${SIZE}px ${FONT}`;
  return (text) => context.measureText(text).width;
}

/**
 * Break running text into lines. Words stay whole where they fit; white space at a line's
 * start is dropped; a piece wider than a line is cut between characters, a line at a time.
 */
export function layOut(texts: readonly string[], width: number, measure: Measure): Piece[] {
  const pieces: Piece[] = [];
  let x = 0;
  let line = 0;
  const place = (index: number, text: string): void => {
    const advance = measure(text);
    pieces.push({ index, text, x, line, width: advance });
    x += advance;
  };
  const next = (): void => {
    line += 1;
    x = 0;
  };
  for (const word of words(texts)) {
    if (word.text === "\n") {
      next();
      continue;
    }
    const full = word.parts.reduce((sum, { text }) => sum + measure(text), 0);
    const wrapped = x > 0 && x + full > width;
    if (wrapped) next();
    word.parts.forEach(({ index, text }, i) => {
      const shown = wrapped && i === 0 ? text.trimStart() : text;
      if (x + measure(shown) <= width) {
        if (shown !== "") place(index, shown);
        return;
      }
      const letters = [...shown];
      for (let from = 0; from < letters.length; ) {
        let many = fitting(letters, from, width - x, measure);
        if (many === 0 && x > 0) next();
        else {
          many ||= 1;
          place(index, letters.slice(from, from + many).join(""));
          from += many;
        }
      }
    });
  }
  return pieces;
}

/** How many characters fit, from one on: found by doubling and halving, as texts may be endless. */
function fitting(
  letters: readonly string[],
  from: number,
  width: number,
  measure: Measure,
  end = "",
): number {
  const fits = (many: number): boolean =>
    measure(letters.slice(from, from + many).join("") + end) <= width;
  const all = letters.length - from;
  let [low, high] = [0, 1];
  while (high <= all && fits(high)) [low, high] = [high, 2 * high];
  high = Math.min(high, all + 1);
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(middle)) low = middle;
    else high = middle;
  }
  return low;
}

interface Word {
  readonly text: string;
  readonly parts: { index: number; text: string }[];
}

/** Tokens joined into words: a word ends before white space, at a line break and around CJK. */
function words(texts: readonly string[]): Word[] {
  const found: Word[] = [];
  let open: Word | null = null;
  texts.forEach((text, index) => {
    for (const part of text.split(/(\n)|(?=[ \t])|(?<=\p{Script=Han}|[\u3000-\u30ff])/u)) {
      if (part === undefined || part === "") continue;
      const starts =
        open === null || part === "\n" || /^\s/.test(part) || /^\p{Script=Han}/u.test(part);
      if (starts) {
        open = { text: part, parts: [] };
        found.push(open);
      }
      open?.parts.push({ index, text: part });
      if (part === "\n") open = null;
    }
  });
  return found;
}

/** The whole picture. */
export function pictureSvg(state: PictureState, measure: Measure): string {
  const { subject, output, readings, limit, theme } = state;
  const palette = PALETTES[theme];
  const muted = hex(over(palette.ink, 0.66, palette.paper));
  const target = targetName(subject, output);
  const texts = subject.inputs.map((t) => (t.special ? visible(t.text) : t.text));
  const pieces = layOut(texts, WIDTH - 2 * MARGIN, measure);
  const lines = (pieces.at(-1)?.line ?? 0) + 1;
  const legendY = HEAD + MARGIN + lines * LINE;
  const height = legendY + LEGEND;

  const marks = pieces.map((piece) => {
    const reading = readings.all[piece.index];
    const special = subject.inputs[piece.index]?.special ?? false;
    const y = HEAD + MARGIN + piece.line * LINE;
    return mark(piece, reading, {
      y,
      special,
      measure,
      palette,
      limit,
      muted,
      pinned: piece.index === state.selected,
    });
  });

  const title = say(W.WHY_TARGET, { target });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img" font-family="${xml(FONT)}" font-size="${SIZE}">`,
    `<title>${xml(title)}</title>`,
    `<defs><linearGradient id="scale">${stops(palette)}</linearGradient>`,
    `<pattern id="unsure" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><path d="M0 0V5" stroke="${muted}" stroke-opacity=".5"/></pattern></defs>`,
    `<rect width="100%" height="100%" fill="${hex(palette.paper)}"/>`,
    `<text x="${MARGIN}" y="${MARGIN + 6}" font-size="12" fill="${muted}">${xml(subject.method_title)}</text>`,
    `<text x="${MARGIN}" y="${MARGIN + 34}" font-size="22" font-weight="600" fill="${hex(palette.ink)}">${xml(title)}</text>`,
    `<g fill="${hex(palette.ink)}">${marks.join("")}</g>`,
    legend(legendY, state, palette, muted, target),
    "</svg>",
  ].join("\n");
}

interface MarkStyle {
  readonly y: number;
  readonly special: boolean;
  readonly measure: Measure;
  readonly palette: Palette;
  readonly limit: number;
  readonly muted: string;
  readonly pinned: boolean;
}

function mark(piece: Piece, reading: Reading | undefined, style: MarkStyle): string {
  const { lead } = splitLead(piece.text);
  const inset = lead === "" ? 0 : style.measure(lead);
  const x = MARGIN + piece.x + inset;
  const width = piece.width - inset;
  const text = `<text x="${fixed(MARGIN + piece.x)}" y="${style.y}" xml:space="preserve"${style.special ? ` fill="${style.muted}"` : ""}>${xml(piece.text)}</text>`;
  if (reading === undefined || isAbsent(reading) || width <= 0) return text;
  const box = `x="${fixed(x)}" width="${fixed(width)}"`;
  const t = position(reading.score, style.limit);
  const pin = style.pinned
    ? `<rect ${box} y="${style.y - 19}" height="26" rx="3" fill="none" stroke="${hex(style.palette.ink)}" stroke-width="1.5"/>`
    : "";
  if (reading.unsure) {
    return `<rect ${box} y="${style.y - 18}" height="24" fill="url(#unsure)"/>${text}${pin}`;
  }
  return (
    `<rect ${box} y="${style.y - 18}" height="24" rx="2" fill="${hex(tint(t, style.palette))}"/>` +
    `<rect ${box} y="${style.y + 5}" height="2" fill="${hex(underline(t, style.palette))}"/>${text}${pin}`
  );
}

function legend(
  y: number,
  state: PictureState,
  palette: Palette,
  muted: string,
  target: string,
): string {
  const { limit, subject, readings } = state;
  const note = readings.anyUnsure ? `${state.note} · ${say(W.HATCHED_CROSSES_ZERO)}` : state.note;
  const unit = unitName(subject.unit);
  const what =
    subject.unit === "score"
      ? say(W.UNIT_NOT_AN_EFFECT, { unit, target })
      : say(W.BLUE_LOWERS, { unit, target });
  const right = MARGIN + LEGEND_WIDTH;
  const words = (x: number, text: string, anchor: string): string =>
    `<text x="${x}" y="${y + 26}" text-anchor="${anchor}">${xml(text)}</text>`;
  return (
    `<g font-size="12" fill="${muted}"><rect x="${MARGIN}" y="${y}" width="${LEGEND_WIDTH}" height="8" rx="2" fill="url(#scale)" stroke="${hex(over(palette.ink, 0.2, palette.paper))}" stroke-width=".5"/>` +
    words(MARGIN, limit > 0 ? signed(-limit) : "", "start") +
    words(MARGIN + LEGEND_WIDTH / 2, "0", "middle") +
    words(right, limit > 0 ? signed(limit) : "", "end") +
    `<text x="${right + 18}" y="${y + 8}">${xml(what)}</text>` +
    `<text x="${right + 18}" y="${y + 26}">${xml(note)}</text></g>`
  );
}

function stops(palette: Palette): string {
  return [-1, -0.5, 0, 0.5, 1]
    .map((t) => `<stop offset="${(t + 1) / 2}" stop-color="${hex(tint(t, palette))}"/>`)
    .join("");
}

function fixed(value: number): string {
  return value.toFixed(2);
}

/** The beginning of a text that fits when set at `size`. */
export function shorten(text: string, width: number, measure: Measure, size: number): string {
  const room = (width * SIZE) / size;
  if (measure(text) <= room) return text;
  const letters = [...text];
  const many = fitting(letters, 0, room, measure, "…") || 1;
  return `${letters.slice(0, many).join("")}…`;
}

/** Escape for XML; what XML 1.0 cannot hold (controls, lone surrogates) becomes U+FFFD. */
export function xml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, "\ufffd")
    .replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Draw an SVG on a canvas, at twice its size for sharp print. */
export async function rasterise(svg: string): Promise<Blob> {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth * 2;
  canvas.height = image.naturalHeight * 2;
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no PNG"))), "image/png");
  });
}
