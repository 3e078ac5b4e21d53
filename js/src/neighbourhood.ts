/** What a local linear model was fitted to, and what it predicts. */

import { floats, isBytes } from "./decode";
import type { NeighbourhoodData } from "./protocol.gen";
import { say } from "./say";
import type { Row } from "./store";
import * as W from "./words";

export interface Neighbourhood {
  readonly samples: number;
  /** Which inputs the features are. */
  readonly places: readonly number[];
  readonly values: Float32Array;
  readonly proximity: Float32Array;
  readonly intercept: Float32Array;
  /** Weighted R² of each output. */
  readonly fit: Float32Array;
  isOn(sample: number, feature: number): boolean;
}

export function decode(data: unknown): Neighbourhood | null {
  const given = data as Partial<NeighbourhoodData> | null;
  if (!given?.places || !isBytes(given.fit)) return null;
  const { masks, places } = given;
  const bits = ArrayBuffer.isView(masks)
    ? new Uint8Array(masks.buffer, masks.byteOffset, masks.byteLength)
    : new Uint8Array();
  return {
    samples: given.samples ?? 0,
    places,
    values: floats(given.values),
    proximity: floats(given.proximity),
    intercept: floats(given.intercept),
    fit: floats(given.fit),
    isOn(sample, feature) {
      const at = sample * places.length + feature;
      return ((bits[at >> 3] ?? 0) & (128 >> (at & 7))) !== 0;
    },
  };
}

export interface Sample {
  readonly index: number;
  /** How many pieces are off. */
  readonly off: number;
  readonly said: number;
  readonly predicted: number;
  readonly proximity: number;
}

/** What the model and the linear model say of every masked text. */
export function samples(seen: Neighbourhood, row: Row | null, output: number): Sample[] {
  const outputs = seen.intercept.length;
  const slopes = seen.places.map((place) => row?.scores[place] ?? 0);
  return Array.from({ length: seen.samples }, (_, index) => {
    let predicted = seen.intercept[output] ?? Number.NaN;
    let off = 0;
    slopes.forEach((slope, feature) => {
      if (seen.isOn(index, feature)) predicted += slope;
      else off++;
    });
    return {
      index,
      off,
      said: seen.values[index * outputs + output] ?? Number.NaN,
      predicted,
      proximity: seen.proximity[index] ?? 0,
    };
  });
}

/** R² in words, and whether it is low. */
export function fitWords(fit: number): { readonly words: string; readonly low: boolean } {
  if (Number.isNaN(fit)) return { words: say(W.FIT_UNKNOWN), low: true };
  const share = Math.max(0, Math.round(100 * fit));
  const low = fit < 0.5;
  const verdict = low ? say(W.FIT_LOW) : fit < 0.8 ? say(W.FIT_ROUGH) : say(W.FIT_FAIR);
  return {
    words: say(W.FIT, { share, verdict }),
    low,
  };
}
