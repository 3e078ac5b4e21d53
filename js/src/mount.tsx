/** Puts a view into the element a host gives, with its style sheet in the same root. */

import { type ComponentChild, render } from "preact";
import type { Cleanup } from "./model";

/** Add a style sheet to the document or shadow root of `element`, once for each name. */
export function addStyle(element: Element, name: string, css: string): void {
  const root = element.getRootNode();
  const home = root instanceof ShadowRoot ? root : element.ownerDocument.head;
  const known = home.querySelector(`style[data-liw="${name}"]`);
  if (known?.textContent === css) return;
  const style = known ?? document.createElement("style");
  style.setAttribute("data-liw", name);
  style.textContent = css;
  if (known === null) home.append(style);
}

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
