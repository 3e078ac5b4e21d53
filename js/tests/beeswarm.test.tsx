import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import widget from "../src/widgets/beeswarm";
import { GOLDEN, goldenData } from "./golden_collection";
import { draw, KernelModel, wipe } from "./samples";

afterEach(wipe);

function model(more = {}): KernelModel {
  const by = { kind: "word", groups: {} };
  const own = { data: goldenData(), by, selected: null, output: 0, plot: "dots", color: "output" };
  return new KernelModel({ ...own, least: 2, rows: 5, ...more });
}

function button(el: HTMLElement, name: string): HTMLButtonElement | undefined {
  return [...el.querySelectorAll("button")].find((item) => item.textContent === name);
}

async function press(el: Element | null, key: string): Promise<void> {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
  await act(() => void el?.dispatchEvent(event));
}

describe("many texts", () => {
  it("are walked with the keys, and one is shown in full", async () => {
    const kernel = model();
    const el = await draw(widget, kernel);
    const canvas = el.querySelector("[role=application]");
    await press(canvas, "ArrowRight");
    const said = (): string => el.querySelector(".liw-bee .liw-pinned")?.textContent ?? "";
    expect(said()).toMatch(/ in text \d+: [+−]/);
    const before = said();
    await press(canvas, "ArrowDown");
    expect(said()).not.toBe(before);
    await press(canvas, "Enter");
    const text = kernel.get("selected") as number;
    expect(el.querySelector(".liw-bee-text b")?.textContent).toBe(`Text ${text + 1}`);
    const prompt = (kernel.get("data") as { texts: string[] }).texts[text];
    expect(el.querySelector(".liw-text")?.textContent).toBe(prompt);
    expect(el.querySelector("script")).toBeNull();
    await press(canvas, "Escape");
    expect(kernel.get("selected")).toBeNull();
  });

  it("are bars, too, of as many words as asked for", async () => {
    const kernel = model();
    const el = await draw(widget, kernel);
    await act(() => button(el, "Bars")?.click());
    expect(kernel.get("plot")).toBe("bars");
    expect(el.querySelectorAll(".liw-ranking li")).toHaveLength(5);
    await act(() =>
      [...el.querySelectorAll("button")]
        .find((b) => /Show more/.test(b.textContent ?? ""))
        ?.click(),
    );
    expect(el.querySelectorAll(".liw-ranking li").length).toBeGreaterThan(5);
  });

  it("leave rare words out", async () => {
    const el = await draw(widget, model({ least: 1000 }));
    expect(el.querySelector(".liw-waiting")?.textContent).toBe("No words in so many texts.");
  });

  it("have a table that sorts", async () => {
    const el = await draw(widget, model());
    const fold = el.querySelector("details");
    await act(() => {
      if (fold) fold.open = true;
      fold?.dispatchEvent(new Event("toggle"));
    });
    const names = (): (string | null | undefined)[] =>
      [...el.querySelectorAll("tbody th")].map((cell) => cell.textContent);
    await act(() => el.querySelector<HTMLElement>("[data-column=token] button")?.click());
    expect(names()).toEqual(names().toSorted((a, b) => (a ?? "").localeCompare(b ?? "")));
  });

  it("say a dot's values beside it, and nothing of a dot that is gone", async () => {
    const kernel = model();
    const el = await draw(widget, kernel);
    const canvas = el.querySelector("[role=application]");
    expect(el.querySelector(".liw-tip")).toBeNull();
    await press(canvas, "End");
    await press(canvas, "ArrowRight");
    const [head, note] = [".liw-tip-head", ".liw-tip-note"].map(
      (name) => el.querySelector(name)?.textContent ?? "",
    );
    expect(head).toMatch(/^“.+” (\d times )?in text \d+[+−][\d.]+ logit$/);
    expect(note).toMatch(/output for “no”: −?[\d.]+ logit/);
    await press(canvas, "ArrowDown");
    expect(el.querySelector(".liw-tip")).not.toBeNull();
    await act(() => kernel.set("rows", 1)); // the second row is gone, and the dot with it
    expect(el.querySelector("[role=application]")).toBe(canvas);
    expect(el.querySelector(".liw-tip")).toBeNull();
    expect(el.textContent).not.toContain("undefined");
  });

  it("are rows of given numbers, which have no bars and are no cause", async () => {
    const by = { kind: "value", groups: GOLDEN.values };
    const el = await draw(widget, model({ by, plot: "bars" }));
    expect(el.querySelector(".liw-sentence")?.textContent).toMatch(/scores .*rank correlation/);
    expect(button(el, "Bars")).toBeUndefined();
    const canvas = el.querySelector("[role=application]");
    await press(canvas, "Home");
    expect(el.querySelector(".liw-tip-head")?.textContent).toMatch(/^“(place|length)” \d+ in text/);
    const fold = el.querySelector("details");
    await act(() => {
      if (fold) fold.open = true;
      fold?.dispatchEvent(new Event("toggle"));
    });
    expect(el.querySelector("[data-column=correlation]")).not.toBeNull();
  });

  it("go by no name where each was asked about its own target", async () => {
    const data = { ...goldenData(), outputs: [""] };
    const el = await draw(widget, model({ data }));
    expect(el.querySelector(".liw-sentence")?.textContent).toContain("each text’s own target");
    expect(el.textContent).not.toContain("“”");
  });

  it("are listened to only while they are shown", async () => {
    const kernel = model();
    const el = await draw(widget, kernel);
    expect(kernel.listening).toBeGreaterThan(0);
    expect(kernel.sent).toEqual([{ type: "ready", binary: true }]);
    await act(() => kernel.set("output", 1));
    expect(el.querySelector(".liw-sentence")?.textContent).toContain("“yes”");
    await act(() => button(el, "Bars")?.click());
    expect(kernel.saved).toEqual([{ output: 1, plot: "bars" }]);
    await wipe();
    expect(kernel.listening).toBe(0);
  });

  it("say so where there is nothing", async () => {
    const el = await draw(widget, new KernelModel({ data: {} }));
    expect(el.textContent).toBe("There is nothing to show.");
  });
});
