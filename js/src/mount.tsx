/** Puts a view into the element a host gives. */

import { type ComponentChild, render } from "preact";
import type { Cleanup } from "./model";

export { addStyle } from "./sheet";

/** Draw `view` into `element`; the returned function takes it away again. */
export function mount(
  element: HTMLElement,
  view: ComponentChild,
  signal: AbortSignal | undefined,
): Cleanup {
  render(view, element);
  const clear = (): void => render(null, element);
  signal?.addEventListener("abort", clear, { once: true });
  return clear;
}
