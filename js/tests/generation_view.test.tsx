import { act } from "preact/test-utils";
import { afterEach, describe, expect, it, vi } from "vitest";
import { HostModel } from "../src/host";
import widget from "../src/widgets/generation_view";
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

const OUTPUTS = [" Paris", ".", " It"].map((text, i) => token(text, 5 + i));
const main = snapshot({
  subject: subject({ outputs: OUTPUTS, target: "the 3 tokens it writes" }),
  scores: bytes([1.7, 3.7, 1.2, 6.9, -3.4, 0, 0, 0, 1, 0, 2, 0, 0, 0, -1]),
  totals: bytes([-16, -2, -3, -0.3, -1, -2, 0, 0, 0]),
  state: progress({ status: "done", verdict: "exact", sentences: ["one", "two", "three"] }),
});
const why = snapshot({
  job: "why",
  subject: subject({
    outputs: [token(" Paris − the")],
    target: "“Paris” rather than “the”",
    unit: "logit",
  }),
  scores: bytes([0.1, 0.2, 0.3, 0.4, 0.5]),
  state: progress({ status: "done", verdict: "exact", sentences: ["“is” pushed hardest."] }),
});
const alternatives = {
  tokens: [
    [" Paris", " the"],
    [".", ","],
    [" It", " The"],
  ],
  log_probs: bytes([Math.log(0.7), Math.log(0.1), -1, -2, -1, -2]),
};

function state(more = {}): Record<string, unknown> {
  const own = {
    snapshot: { ...main }, // a connection is known by its snapshot
    others: [],
    span: 1,
    alternatives,
    contrasts: [],
    contrast_shown: null,
  };
  return traits({ ...own, failure: {}, ...more });
}

const title = (el: Element): string | null | undefined => el.querySelector("h2")?.textContent;
const written = (el: Element): HTMLElement[] => [
  ...(el.querySelectorAll("[role=listbox]")[1]?.querySelectorAll<HTMLElement>("[role=option]") ??
    []),
];
const chips = (el: Element): HTMLButtonElement[] => [
  ...el.querySelectorAll<HTMLButtonElement>(".liw-gen-candidates button"),
];

describe("written tokens", () => {
  it("are chosen by a click, and several with Shift", async () => {
    const model = new KernelModel(state());
    const el = await draw(widget, model);
    expect(title(el)).toBe("Why “Paris”?");
    await act(() => written(el)[1]?.click());
    expect([model.get("output"), model.get("span")]).toEqual([1, 1]);
    await act(() => {
      written(el)[2]?.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    });
    expect([model.get("output"), model.get("span")]).toEqual([1, 2]);
    expect(title(el)).toBe("Why “. It”?");
    expect(written(el).map((mark) => mark.getAttribute("aria-selected"))).toEqual([
      "false",
      "true",
      "true",
    ]);
  });

  it("are tinted by what the pinned piece did to each", async () => {
    const el = await draw(widget, new KernelModel(state({ selected: 4 })));
    expect(written(el).map((mark) => mark.dataset["kind"])).toEqual(["lowers", "zero", "lowers"]);
  });
});

describe("what was nearly written", () => {
  it("says that the kernel is busy, where nothing else runs", async () => {
    vi.useFakeTimers();
    const model = new KernelModel(state());
    model.idle = false;
    const el = await draw(widget, model);
    await act(() => chips(el)[0]?.click());
    expect(el.textContent).not.toContain("the kernel is busy");
    await act(() => {
      vi.advanceTimersByTime(2_000);
    });
    expect(el.textContent).toContain("the kernel is busy with a cell");
    vi.useRealTimers();
  });

  it("is asked again where it failed", async () => {
    const failed = { ...why, state: progress({ status: "failed" }) };
    const model = new KernelModel(state({ others: [failed], contrasts: [[0, 1]] }));
    const el = await draw(widget, model);
    await act(() => chips(el)[0]?.click());
    expect(model.sent.at(-1)).toEqual({ type: "contrast", output: 0, alternative: 1 });
  });

  it("is asked of the kernel with one click, and shown when it comes", async () => {
    const model = new KernelModel(state());
    const el = await draw(widget, model);
    expect(chips(el).map((chip) => chip.textContent)).toEqual(["the 10\u2009%"]);
    await act(() => chips(el)[0]?.click());
    expect(model.sent.at(-1)).toEqual({ type: "contrast", output: 0, alternative: 1 });
    await act(() => {
      model.set("others", [why]);
      model.set("contrasts", [[0, 1]]);
      model.set("contrast_shown", 0);
    });
    expect(title(el)).toBe("Why “Paris” rather than “the”?");
    expect(el.querySelector(".liw-sentence")?.textContent).toBe("“is” pushed hardest.");
    expect(chips(el)[0]?.getAttribute("aria-pressed")).toBe("true");
    await act(() => chips(el)[0]?.click());
    expect(title(el)).toBe("Why “Paris”?");
    expect(model.get("contrast_shown")).toBeNull();
  });

  it("can be shown again without a kernel, but not asked", async () => {
    const el = await draw(widget, new HostModel(state({ others: [why], contrasts: [[0, 1]] })));
    expect(chips(el).map((chip) => chip.disabled)).toEqual([false]);
    await act(() => chips(el)[0]?.click());
    expect(title(el)).toBe("Why “Paris” rather than “the”?");
    await act(() => written(el)[1]?.click());
    expect(title(el)).toBe("Why “.”?");
    expect(chips(el).map((chip) => chip.disabled)).toEqual([true]);
  });

  it("says why it could not be explained", async () => {
    const failure = { name: "TargetError", message: "No <b>such</b> token." };
    const el = await draw(widget, new KernelModel(state({ failure })));
    expect(el.querySelector("[role=alert]")?.textContent).toContain("No <b>such</b> token.");
  });
});
