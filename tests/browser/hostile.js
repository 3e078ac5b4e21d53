// Runs in a page before anything else: notes what must not happen, and reads what is on screen.
"use strict";

window.liw = (() => {
  const OURS = new Set(
    ("b bdi br button canvas caption dd del details div dl dt fieldset figcaption figure h2 h3 " +
      "input label legend li ol option p path section select span strong summary svg table tbody " +
      "td th thead tr").split(" "),
  );
  const seen = { fired: 0, foreign: [], refused: [], longest: 0 };
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) seen.longest = Math.max(seen.longest, duration);
  }).observe({ type: "longtask" });
  window.liwFired = () => {
    seen.fired += 1;
  };
  addEventListener("securitypolicyviolation", (event) => {
    seen.refused.push(`${event.effectiveDirective} ${event.blockedURI}`);
  });

  const check = (element) => {
    if (!OURS.has(element.localName)) seen.foreign.push(`<${element.localName}>`);
    for (const { name } of element.attributes) {
      if (/^on|^(?:href|src|srcdoc|action|formaction|is)$|:/.test(name)) seen.foreign.push(name);
    }
  };
  const every = (node) => {
    if (!(node instanceof Element)) return;
    if (node.closest(".liw")) check(node);
    for (const element of node.querySelectorAll(".liw, .liw *")) check(element);
  };
  new MutationObserver((records) => {
    for (const { type, target, addedNodes } of records) {
      if (type === "attributes" && target.closest(".liw")) check(target);
      for (const node of addedNodes) every(node);
    }
  }).observe(document, { childList: true, subtree: true, attributes: true });

  const tick = () => new Promise((resolve) => setTimeout(resolve));

  /** What slots of a view say: texts, or attributes, in the order of the document. */
  const read = (root, slots) =>
    Object.fromEntries(
      slots.map(([name, selector, attribute]) => [
        name,
        [...root.querySelectorAll(selector)].map((element) =>
          attribute === null ? element.textContent : element.getAttribute(attribute),
        ),
      ]),
    );

  /** What the buttons of a view copy as text, one after the other. */
  const copies = async (root) => {
    const found = {};
    for (const button of root.querySelectorAll("button")) {
      const label = button.textContent.trim();
      if (!/^Copy (?!PNG)/.test(label)) continue;
      found[label] = await new Promise((resolve) => {
        navigator.clipboard.writeText = async (text) => resolve(text);
        button.click();
      });
    }
    return found;
  };

  return {
    seen,
    tick,
    read,
    copies,
    /** Opens what is folded, points at everything once, and reads; a view after the other. */
    async tour(roots, slots, pointed, copied) {
      await tick();
      seen.longest = 0; // drawing so many views at once is not what a reader waits for
      for (const root of roots) {
        for (const fold of root.querySelectorAll("summary")) fold.click();
      }
      await tick();
      await tick();
      const found = [];
      for (const root of roots) {
        const said = read(root, slots);
        said.pointed = [];
        for (const target of pointed ? root.querySelectorAll(pointed[0]) : []) {
          target.focus();
          target.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
          await tick();
          said.pointed.push(root.querySelector(pointed[1])?.textContent ?? null);
        }
        found.push({ said, copies: copied ? await copies(root) : {} });
      }
      await tick();
      return found;
    },
    /** Everything that should not be in the document at all. */
    strays: () =>
      [...document.querySelectorAll("img, iframe, object, embed, base, [href^=javascript]")].map(
        (element) => element.outerHTML.slice(0, 100),
      ),
  };
})();
