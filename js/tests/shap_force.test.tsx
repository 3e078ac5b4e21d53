import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import bar from "../src/widgets/shap_bar";
import force from "../src/widgets/shap_force";
import { bytes, draw, KernelModel, snapshot, traits, wipe } from "./samples";

afterEach(wipe);

function given(more: Parameters<typeof snapshot>[0] = {}): KernelModel {
  return new KernelModel(
    traits({
      snapshot: snapshot({
        totals: bytes([-16, -5.9, 0]),
        scores: bytes([1.7, 3.7, 1.2, 6.9, -3.4]),
        ...more,
      }),
    }),
  );
}

function segments(el: HTMLElement): HTMLElement[] {
  return [...el.querySelectorAll<HTMLElement>(".liw-force-track li")];
}

async function press(key: string): Promise<void> {
  await act(() => {
    document.activeElement?.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
    );
  });
}

describe("the force plot", () => {
  it("names every segment from left to right, and both ends", async () => {
    const el = await draw(force, given());
    expect(segments(el).map((one) => one.textContent)).toEqual([
      "␣of +1.20",
      "The +1.70",
      "␣capital +3.70",
      "␣France +6.90",
      "␣is −3.40",
    ]);
    expect(el.querySelector(".liw-force-ends")?.textContent).toBe(
      "all switched off −16.0text as it is −5.90",
    );
    expect(segments(el)[3]?.querySelector("button")?.getAttribute("aria-label")).toBe(
      "␣France +6.90, fourth token, raises “Paris”",
    );
  });

  it("pins for Python, and arrows move from where both sides meet", async () => {
    const model = given();
    const el = await draw(force, model);
    const stop = el.querySelector<HTMLElement>(".liw-force-track [tabindex='0']");
    expect(stop?.textContent).toContain("France");
    await act(() => stop?.focus());
    await press("ArrowRight");
    expect(document.activeElement?.textContent).toContain("is");
    await act(() => (document.activeElement as HTMLElement).click());
    expect(model.saved).toEqual([{ selected: 4 }]);
    await press("Escape");
    expect(model.state["selected"]).toBeNull();
  });

  it("waits where no score has come", async () => {
    const el = await draw(force, given({ scores: bytes([]), totals: bytes([]) }));
    expect(el.textContent).toContain("Waiting for the first scores");
  });
});

describe("the bars of one text", () => {
  it("stand in order of size, and pin", async () => {
    const model = given();
    const el = await draw(bar, model);
    const rows = [...el.querySelectorAll<HTMLElement>(".liw-rank-row")];
    expect(rows.map((row) => row.querySelector(".liw-rank-token")?.textContent)).toEqual([
      "␣France",
      "␣capital",
      "␣is",
      "The",
      "␣of",
    ]);
    await act(() => rows[0]?.click());
    expect(model.saved).toEqual([{ selected: 3 }]);
  });
});
