/**
 * What the views say: English templates, in the language in force, with their places filled.
 *
 * The English template is the key, as in gettext: what has no translation is said in English. A
 * place that gets no value stays as it is written, so that nothing ever breaks.
 */

import type { ComponentChild } from "preact";
import { COMMA, LANGUAGE } from "./words";

/** The names in braces. */
type Places<T extends string> = T extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Places<Rest>
  : never;
type Values<T extends string, V> = [Places<T>] extends [never]
  ? []
  : [values: Readonly<Record<Places<T>, V>>];

let inForce: Readonly<Record<string, unknown>> = {};

/** From now on, speak the language of these translations; of anything else, English. */
export function speak(translations: unknown): void {
  inForce = Object(translations);
}

/** The language in force, as the `lang` attribute names it. */
export function language(): string {
  return say(LANGUAGE);
}

/** A template's text with whatever fills its places, elements too. */
export function phrase<T extends string>(
  template: T,
  ...[values]: Values<T, ComponentChild>
): ComponentChild[] {
  const found = inForce[template];
  const said = typeof found === "string" ? found : template;
  return said
    .split(/\{(\w+)\}/)
    .map((part, i) =>
      i % 2 ? ((values as Record<string, ComponentChild>)?.[part] ?? `{${part}}`) : part,
    );
}

export function say<T extends string>(template: T, ...values: Values<T, string | number>): string {
  return phrase(template, ...(values as Values<T, ComponentChild>)).join("");
}

/** Several things named one after the other. */
export function listed(parts: readonly (string | false)[], between: string = COMMA): string {
  return parts.filter(Boolean).join(say(between));
}
