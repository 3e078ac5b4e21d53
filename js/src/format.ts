/** Numbers and words as the reader sees them: at most three significant digits, a real minus. */

import type { Unit } from "./protocol.gen";

export const MINUS = "\u2212";
const THIN_SPACE = "\u2009";

const UNITS: Record<Unit, string> = {
  cosine: "cosine similarity",
  log_prob: "log-probability",
  logit: "logit",
  prob: "probability",
  score: "score",
  value: "value",
};

const ORDINALS = [
  "first",
  "second",
  "third",
  "fourth",
  "fifth",
  "sixth",
  "seventh",
  "eighth",
  "ninth",
  "tenth",
];

export function unitName(unit: Unit): string {
  return UNITS[unit];
}

/** Decimals that show `largest` with three significant digits. */
export function decimalsFor(largest: number): number {
  if (!(largest > 0) || !Number.isFinite(largest)) return 2;
  return Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(largest))));
}

/** An unsigned magnitude with three significant digits. */
export function magnitude(value: number): string {
  const size = Math.abs(value);
  if (Number.isNaN(size)) return "–";
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-4) {
    const [digits = "", exponent = ""] = size.toExponential(1).split("e");
    return `${digits}e${exponent.replace("+", "").replace("-", MINUS)}`;
  }
  const rounded = Number(size.toPrecision(3));
  return rounded.toFixed(decimalsFor(rounded));
}

/** A signed number with three significant digits: `+6.90`, `−0.0123`, `0`. */
export function signed(value: number): string {
  if (Number.isNaN(value)) return "–";
  return sign(value) + magnitude(value);
}

/** A signed number with fixed decimals, so that a column of them lines up. */
export function aligned(value: number, decimals: number): string {
  if (Number.isNaN(value)) return "–";
  const digits = Math.abs(value).toFixed(decimals);
  return (Number(digits) === 0 ? THIN_SPACE : sign(value)) + digits;
}

function sign(value: number): string {
  if (value > 0) return "+";
  return value < 0 ? MINUS : "";
}

/** A share of the whole: `41 %`, `0.3 %`, `< 0.1 %`. */
export function percent(share: number): string {
  if (Number.isNaN(share)) return "–";
  const value = share * 100;
  if (value > 0 && value < 0.1) return `<${THIN_SPACE}0.1${THIN_SPACE}%`;
  return `${value >= 9.95 || value === 0 ? value.toFixed(0) : value.toFixed(1)}${THIN_SPACE}%`;
}

/** How many a second: `142/s`, `0.8/s`. */
export function rate(perSecond: number): string {
  return `${perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toPrecision(2)}/s`;
}

/** A duration: `4 s`, `2 min 05 s`, `1 h 12 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

/** An integer with thin spaces between groups of three: `12 800`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE);
}

/** `first` … `tenth`, `11th`, `22nd`. */
export function ordinal(n: number): string {
  const word = ORDINALS[n - 1];
  if (word !== undefined) return word;
  const tens = n % 100;
  const suffix = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${suffix}`;
}

/**
 * A token's text where its white space must be visible: `␣`, `↵`, `⇥`; the code point of a
 * token that shows nothing at all.
 */
export function visible(text: string): string {
  const shown = text
    .replace(/\r\n|[\n\r\u2028\u2029]/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
  if (text === "") return "∅";
  return /[^\s\p{C}]/u.test(shown) ? shown : [...text].map(codePoint).join(" ");
}

function codePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A token's text within a sentence: trimmed unless there is nothing else. */
export function spoken(text: string): string {
  const trimmed = text.trim();
  if (trimmed !== "") return trimmed;
  if (text.includes("\n")) return "line break";
  return text === "" ? "empty token" : "space";
}
