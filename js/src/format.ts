/** Numbers and words as the reader sees them: at most three significant digits, a real minus. */

import type { Status, Unit, Verdict } from "./protocol.gen";
import { say } from "./say";
import * as W from "./words";

export const MINUS = "\u2212";
const THIN_SPACE = "\u2009";

const UNITS: Record<Unit, string> = {
  cosine: W.COSINE_SIMILARITY,
  log_prob: W.LOG_PROBABILITY,
  logit: W.LOGIT,
  prob: W.PROBABILITY,
  score: W.SCORE,
  value: W.VALUE,
};

const SUFFIXES = [W.ORDINAL_TH, W.ORDINAL_ST, W.ORDINAL_ND, W.ORDINAL_RD] as const;

export function unitName(unit: Unit): string {
  return say(UNITS[unit]);
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
  return say(W.PER_SECOND, {
    n: perSecond >= 10 ? perSecond.toFixed(0) : perSecond.toPrecision(2),
  });
}

/** A duration: `4 s`, `2 min 05 s`, `1 h 12 min`. */
export function duration(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return say(W.SECONDS, { s: whole });
  const min = Math.floor(whole / 60);
  const two = (n: number): string => String(n % 60).padStart(2, "0");
  if (min < 60) return say(W.MINUTES, { min, s: two(whole) });
  return say(W.HOURS, { h: Math.floor(min / 60), min: two(min) });
}

/** An integer with thin spaces between groups of three: `12 800`. */
export function count(value: number): string {
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, THIN_SPACE);
}

/** `first` … `tenth`, `11th`, `22nd`. */
export function ordinal(n: number): string {
  const teen = n % 100 > 10 && n % 100 < 14;
  return (
    say(W.ORDINALS).split(" ")[n - 1] ?? say((teen ? null : SUFFIXES[n % 10]) ?? SUFFIXES[0], { n })
  );
}

/**
 * A token's text where its white space must be visible: `␣`, `↵`, `⇥`; the code point of a
 * token that shows nothing at all.
 */
export function visible(text: string): string {
  const shown = text
    .replace(/\r\n|[\n\r\u2028\u2029]/g, "↵")
    .replace(/\t/g, "⇥")
    .replace(/^ +|(?<! ) +$/g, (spaces) => "␣".repeat(spaces.length));
  if (text === "") return "∅";
  return /[^\s\p{C}]/u.test(shown) ? shown : [...text].map(codePoint).join(" ");
}

function codePoint(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The beginning of a text where it is too long, never half a character. */
export function brief(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1).replace(/[\ud800-\udbff]$/, "")}…` : text;
}

/** A token's text within a sentence: trimmed unless there is nothing else. */
export function spoken(text: string): string {
  const trimmed = text.trim();
  if (trimmed !== "") return trimmed;
  if (text.includes("\n")) return say(W.LINE_BREAK);
  return text === "" ? say(W.EMPTY_TOKEN) : say(W.SPACE);
}

const STANDING: Record<Verdict | Status, string> = {
  exact: W.EXACT,
  converged: W.CONVERGED,
  "still moving": W.STILL_MOVING,
  "did not converge": W.DID_NOT_CONVERGE,
  unknown: W.UNKNOWN,
  queued: W.QUEUED,
  running: W.RUNNING,
  done: W.DONE,
  cancelled: W.CANCELLED,
  failed: W.FAILED,
};

/** How a job stands, or how it ended. */
export function standing(one: Verdict | Status): string {
  return say(STANDING[one]);
}
