/** Puts a view into the element a host gives. */

import { type ComponentChild, render } from "preact";
import type { Cleanup } from "./model";

export { addStyle } from "./sheet";

const UNHEARD = "data-lm-suppress-shortcuts";

/**
 * Draw `view` into `element`; the returned function takes it away again.
 *
 * A plain key belongs to what has the focus in the view. Jupyter looks for shortcuts first, from
 * the target upwards, unless the very target says no: in command mode the arrows move cells.
 * Keys with a modifier (Ctrl+S) stay the host's.
 */
export function mount(
  element: HTMLElement,
  view: ComponentChild,
  signal: AbortSignal | undefined,
): Cleanup {
  const keep = (event: KeyboardEvent): void => {
    const [target] = event.composedPath();
    if (target instanceof Element && element.contains(target)) {
      target.toggleAttribute(UNHEARD, !(event.ctrlKey || event.metaKey || event.altKey));
    }
  };
  window.addEventListener("keydown", keep, true); // before the document, where Jupyter listens
  render(view, element);
  const clear = (): void => {
    window.removeEventListener("keydown", keep, true);
    render(null, element);
  };
  signal?.addEventListener("abort", clear, { once: true });
  return clear;
}
