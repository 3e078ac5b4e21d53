/** A number, or the end of a range that it is beyond; the low end of an empty one. */
export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
