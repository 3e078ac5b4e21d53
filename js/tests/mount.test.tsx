import { afterEach, describe, expect, it } from "vitest";
import { mount } from "../src/mount";
import { wipe } from "./samples";

afterEach(wipe);

function press(target: Element, key: string, more: KeyboardEventInit = {}): void {
  target.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, composed: true, ...more }),
  );
}

describe("keys", () => {
  it("belong to what has the focus in a view, before Jupyter looks for shortcuts", () => {
    const el = document.body.appendChild(document.createElement("div"));
    const clear = mount(el, <button type="button">x</button>, undefined);
    const button = el.querySelector("button") as HTMLElement;
    const ours: boolean[] = [];
    const jupyter = (): void => {
      ours.push(button.hasAttribute("data-lm-suppress-shortcuts"));
    };
    document.addEventListener("keydown", jupyter, true);
    press(button, "ArrowRight");
    press(button, "s", { ctrlKey: true });
    press(button, "Enter", { shiftKey: true });
    expect(ours).toEqual([true, false, true]);
    const elsewhere = document.body.appendChild(document.createElement("button"));
    press(elsewhere, "ArrowRight");
    expect(elsewhere.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
    clear();
    press(button, "s", { ctrlKey: true });
    expect(button.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
    document.removeEventListener("keydown", jupyter, true);
  });

  it("belong to a view in a shadow root, too", () => {
    const host = document.body.appendChild(document.createElement("div"));
    const el = document.createElement("div");
    host.attachShadow({ mode: "open" }).append(el);
    mount(el, <button type="button">x</button>, new AbortController().signal);
    const button = el.querySelector("button") as HTMLElement;
    press(button, "ArrowRight");
    expect(button.hasAttribute("data-lm-suppress-shortcuts")).toBe(true);
  });
});
