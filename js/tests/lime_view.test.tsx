import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { decode, fitWords, samples } from "../src/neighbourhood";
import widget from "../src/widgets/lime_view";
import {
  bytes,
  draw,
  KernelModel,
  progress,
  snapshot,
  subject,
  token,
  traits,
  wipe,
} from "./samples";

afterEach(wipe);

const OUTPUTS = [token("no", 5), token("yes", 6)];
const SLOPES = [
  [1, 2, 3, 4, 5],
  [-1, 0.5, 0, 2, -3],
];
/** Masks 11111, 10110, 01001 in eight bits to a byte. */
const NEIGHBOURHOOD = {
  samples: 3,
  places: [0, 1, 2, 3, 4],
  masks: new DataView(Uint8Array.of(0b11111101, 0b10010010).buffer),
  values: bytes([15, -1, 9, 1, 6, -2]),
  proximity: bytes([1, 0.5, 0.25]),
  intercept: bytes([0.5, 0.25]),
  fit: bytes([0.9, 0.3]),
};

function state(more = {}): Record<string, unknown> {
  const shot = snapshot({
    subject: subject({ method: "lime", unit: "logit", outputs: OUTPUTS }),
    scores: bytes(SLOPES.flat()),
    totals: bytes([0, 0, 15, -1, 0, 0]),
    state: progress({ status: "done", verdict: "unknown", sentences: ["", ""] }),
  });
  return traits({ snapshot: shot, neighbourhood: NEIGHBOURHOOD, sample: null, ...more });
}

describe("the neighbourhood", () => {
  const seen = decode(NEIGHBOURHOOD);
  if (seen === null) throw new Error("nothing decoded");
  const row = (output: number) => ({
    scores: Float32Array.from(SLOPES[output] ?? []),
    error: null,
    seq: 0,
  });

  it("has every bit in its place", () => {
    const masks = [0, 1, 2].map((sample) =>
      [0, 1, 2, 3, 4].map((feature) => Number(seen.isOn(sample, feature))).join(""),
    );
    expect(masks).toEqual(["11111", "10110", "01001"]);
  });

  it("predicts intercept and slopes of what is on", () => {
    const [first, second] = [samples(seen, row(0), 0), samples(seen, row(1), 1)];
    expect(first.map(({ predicted }) => predicted)).toEqual([15.5, 8.5, 7.5]);
    expect(second.map(({ predicted }) => predicted)).toEqual([-1.25, 1.25, -2.25]);
    expect(second.map(({ said }) => said)).toEqual([-1, 1, -2]);
    expect(first.map(({ off }) => off)).toEqual([0, 2, 3]);
  });

  it("is nothing where nothing is known", () => {
    expect([decode(null), decode({}), decode({ places: [] })]).toEqual([null, null, null]);
    expect(samples({ ...seen, samples: 0 }, null, 0)).toEqual([]);
  });

  it("says how well the line fits", () => {
    expect(fitWords(0.9)).toMatchObject({ low: false });
    expect(fitWords(0.9).words).toContain("90 %");
    expect(fitWords(0.3).low).toBe(true);
    expect(fitWords(Number.NaN).low).toBe(true);
  });
});

describe("the view", () => {
  it("warns of a poor fit, and tells that of each class", async () => {
    const el = await draw(widget, new KernelModel(state({ output: 1 })));
    const fit = el.querySelector<HTMLElement>(".liw-lime-fit");
    expect(fit?.dataset["low"]).toBe("true");
    expect(fit?.textContent).toContain("no 0.900 · yes 0.300");
  });

  it("walks from near texts to far ones, and shows what is off", async () => {
    const model = new KernelModel(state());
    const el = await draw(widget, model);
    const press = (key: string) =>
      act(() => {
        const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
        el.querySelector("[role=application]")?.dispatchEvent(event);
      });
    await press("ArrowRight");
    await press("ArrowRight");
    expect(model.get("sample")).toBe(1);
    const said = el.querySelector(".liw-lime-sample");
    expect(said?.textContent).toContain("the model says 9.00, the linear model 8.50");
    expect([...(said?.querySelectorAll("del") ?? [])].map((del) => del.textContent)).toEqual([
      " capital",
      " is",
    ]);
    await press("Escape");
    expect(model.get("sample")).toBeNull();
  });

  it("has a table of masked texts that sorts and picks", async () => {
    const model = new KernelModel(state());
    const el = await draw(widget, model);
    const fold = el.querySelector("details");
    await act(() => {
      if (fold) fold.open = true;
      fold?.dispatchEvent(new Event("toggle"));
    });
    const numbers = (): (string | null | undefined)[] =>
      [...el.querySelectorAll("tbody tr")].map((tr) => tr.children[0]?.textContent);
    expect(numbers()).toEqual(["1", "2", "3"]);
    await act(() => el.querySelectorAll<HTMLElement>("thead button")[1]?.click());
    await act(() => el.querySelectorAll<HTMLElement>("thead button")[1]?.click());
    expect(numbers()).toEqual(["3", "2", "1"]);
    await act(() => el.querySelector<HTMLElement>("tbody button")?.click());
    expect(model.get("sample")).toBe(2);
  });

  it("says that the texts were not kept", async () => {
    const neighbourhood = { ...NEIGHBOURHOOD, samples: 0 };
    const el = await draw(widget, new KernelModel(state({ neighbourhood })));
    expect(el.textContent).toContain("were not kept");
    expect(el.querySelectorAll(".liw-ranking li")).toHaveLength(5);
  });
});
