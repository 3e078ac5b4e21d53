/**
 * Light or dark, as the host shows itself.
 *
 * JupyterLab, Notebook 7, Voila and VS Code say so on the body, Colab on the document; elsewhere
 * the first opaque background around the widget decides, and last the system's preference, where
 * the page follows it: one that says nothing of colour schemes is white, whatever the system likes.
 */

import { luminance, type Theme } from "./colour";
import type { Cleanup } from "./model";

const DARK_QUERY = "(prefers-color-scheme: dark)";
const DARK_BELOW = 0.3;

export function themeOf(element: Element): Theme {
  const { body, documentElement } = element.ownerDocument;
  const jupyter = body.dataset["jpThemeLight"];
  if (jupyter !== undefined) return jupyter === "false" ? "dark" : "light";
  const code = body.dataset["vscodeThemeKind"];
  if (code !== undefined) return code.includes("light") ? "light" : "dark";
  const colab = documentElement.getAttribute("theme");
  if (colab === "light" || colab === "dark") return colab;
  return backdrop(element) ?? canvas(documentElement);
}

/** Calls back at once and whenever the host's theme may have changed. */
export function watchTheme(element: Element, apply: (theme: Theme) => void): Cleanup {
  let current: Theme | null = null;
  const update = (): void => {
    const theme = themeOf(element);
    if (theme !== current) apply(theme);
    current = theme;
  };
  update();
  const { body, documentElement } = element.ownerDocument;
  const observer = new MutationObserver(update);
  // Hosts say it in a class, a style or an attribute of their own: whatever changes is looked at.
  for (const node of [body, documentElement]) observer.observe(node, { attributes: true });
  const query = window.matchMedia?.(DARK_QUERY);
  query?.addEventListener("change", update);
  return () => {
    observer.disconnect();
    query?.removeEventListener("change", update);
  };
}

function canvas(root: Element): Theme {
  const scheme = getComputedStyle(root).colorScheme;
  if (!scheme.includes("dark")) return "light";
  if (!scheme.includes("light")) return "dark";
  return window.matchMedia?.(DARK_QUERY).matches ? "dark" : "light";
}

function backdrop(element: Element): Theme | null {
  for (let node: Element | null = element; node !== null; node = parent(node)) {
    const channels = getComputedStyle(node).backgroundColor.match(/^rgba?\(([^)]+)\)$/)?.[1];
    const [red = 0, green = 0, blue = 0, alpha = 1] = (channels ?? "0 0 0 0")
      .split(/[\s,/]+/)
      .map(Number);
    if (alpha > 0.5) return luminance([red, green, blue]) < DARK_BELOW ? "dark" : "light";
  }
  return null;
}

function parent(node: Element): Element | null {
  if (node.parentElement !== null) return node.parentElement;
  const root = node.getRootNode();
  return root instanceof ShadowRoot ? root.host : null;
}
