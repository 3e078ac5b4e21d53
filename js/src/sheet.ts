/** Style sheets of views, each once in a document or shadow root. */

interface Named extends CSSStyleSheet {
  liw?: string;
  text?: string;
}

/**
 * Give the document or shadow root of `element` a style sheet, once for each name.
 *
 * A constructed sheet and no `<style>`: no content security policy forbids it.
 */
export function addStyle(element: Element, name: string, css: string): void {
  const root = element.getRootNode();
  const home = root instanceof ShadowRoot ? root : element.ownerDocument;
  const known = home.adoptedStyleSheets.find(({ liw }: Named) => liw === name);
  const sheet: Named = known ?? new CSSStyleSheet();
  if (sheet.text !== css) {
    sheet.replaceSync(css);
    Object.assign(sheet, { liw: name, text: css });
  }
  if (!known) home.adoptedStyleSheets = [...home.adoptedStyleSheets, sheet];
}
