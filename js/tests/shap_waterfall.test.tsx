import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { HostModel } from "../src/host";
import widget from "../src/widgets/shap_waterfall";
import {
  bytes,
  chunk,
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

const MANY = Array.from({ length: 14 }, (_, i) => i + 1);

function rows(el: HTMLElement): HTMLElement[] {
  return [...el.querySelectorAll<HTMLElement>(".liw-wf-steps li")];
}

function names(el: HTMLElement): (string | undefined)[] {
  return rows(el).map((row) => row.querySelector(".liw-wf-name")?.textContent ?? undefined);
}

function many(): Record<string, unknown> {
  const inputs = MANY.map((n, i) => token(`w${n}`, i));
  return traits({
    snapshot: snapshot({
      subject: subject({ inputs }),
      scores: bytes(MANY),
      totals: bytes([0, 105, 0]),
    }),
  });
}

async function press(key: string): Promise<void> {
  await act(() => {
    document.activeElement?.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
    );
  });
}

describe("the waterfall", () => {
  it("names both ends and every step with its value", async () => {
    const model = new KernelModel(
      traits({
        snapshot: snapshot({
          totals: bytes([-16, -4.2, 0]),
          scores: bytes([1.7, 3.7, 1.2, 6.9, -1.7]),
        }),
      }),
    );
    const el = await draw(widget, model);
    expect(names(el)).toEqual(["␣France", "␣capital", "The", "␣is", "␣of"]);
    expect(rows(el).map((row) => row.dataset["kind"])).toEqual([
      "raises",
      "raises",
      "raises",
      "lowers",
      "raises",
    ]);
    const ends = [...el.querySelectorAll(".liw-wf-end")].map((end) => end.textContent);
    expect(ends).toEqual(["Text as it is−4.20", "All switched off−16.0"]);
    expect(el.textContent).toContain("log-probability of “Paris”");
    expect(rows(el)[0]?.textContent).toBe("␣France+6.90, fourth token, raises “Paris”");
  });

  it("unfolds the small ones in place, and folds them again", async () => {
    const el = await draw(widget, new KernelModel(many()));
    expect(names(el).at(-1)).toBe("5 other pieces");
    const last = rows(el).at(-1)?.querySelector("button");
    expect(last?.getAttribute("aria-expanded")).toBe("false");
    await act(() => last?.click());
    expect(names(el)).toHaveLength(15);
    await act(() => rows(el).at(-1)?.querySelector("button")?.click());
    expect(names(el)).toHaveLength(10);
  });

  it("pins a piece for Python, and lets it go", async () => {
    const model = new KernelModel(traits());
    const el = await draw(widget, model);
    await act(() => rows(el)[0]?.querySelector("button")?.click());
    expect(model.saved).toEqual([{ selected: 3 }]);
    expect(rows(el)[0]?.querySelector("[aria-pressed=true]")).not.toBeNull();
    expect(el.querySelector(".liw-pinned")?.textContent).toContain("France");
    await act(() => rows(el)[0]?.querySelector("button")?.click());
    expect(model.state["selected"]).toBeNull();
  });

  it("is one stop for Tab; arrows, Home and End move within", async () => {
    const el = await draw(widget, new KernelModel(many()));
    expect(el.querySelectorAll(".liw-wf-steps [tabindex='0']")).toHaveLength(1);
    const focused = () => document.activeElement?.querySelector(".liw-wf-name")?.textContent;
    await act(() => rows(el)[0]?.querySelector("button")?.focus());
    await press("ArrowDown");
    expect(focused()).toBe("w13");
    await press("End");
    expect(focused()).toBe("5 other pieces");
    await press("ArrowDown");
    expect(focused()).toBe("5 other pieces");
    await press("Home");
    expect(focused()).toBe("w14");
    expect(el.querySelector(".liw-pinned")?.textContent).toContain("w14");
  });

  it("grows while the job runs, and hatches what is not sure", async () => {
    const nothing = bytes(Array(5).fill(Number.NaN));
    const model = new KernelModel(
      traits({
        snapshot: snapshot({ scores: nothing, totals: bytes([Number.NaN, Number.NaN, 0]) }),
      }),
    );
    const el = await draw(widget, model);
    expect(el.textContent).toContain("Waiting for the first scores");
    await act(() =>
      model.emit("msg:custom", chunk(1), [
        bytes([1, 2, 3, 4, 5]),
        bytes([1, 0.1, 0.1, 0.1, 0.1]),
        bytes([0, 15, 0]),
      ]),
    );
    expect(names(el)[0]).toBe("␣is");
    expect(rows(el).at(-1)?.dataset["kind"]).toBe("unsure");
    expect(rows(el)[0]?.textContent).toContain("± 0.196");
    await act(() =>
      model.emit("msg:custom", chunk(2, { state: progress({ status: "done" }) }), [
        bytes([9, 2, 3, 4, 5]),
        bytes([]),
        bytes([0, 23, 0]),
      ]),
    );
    expect(names(el)[0]).toBe("The");
  });

  it("says what the scores leave unexplained", async () => {
    const totals = bytes([0, 20, 0.25]);
    const scores = bytes([1, 2, 3, 4, 5]);
    const el = await draw(
      widget,
      new HostModel(traits({ snapshot: snapshot({ scores, totals }) })),
    );
    expect(names(el).at(-1)).toBe("not explained");
    expect(rows(el).at(-1)?.textContent).toContain("+5.00");
  });

  it("keeps text as text", async () => {
    const hostile = "<img src=x onerror=alert(1)>";
    const inputs = [token(hostile), token(" \ud800", 1)];
    const model = new KernelModel(
      traits({ snapshot: snapshot({ subject: subject({ inputs }), scores: bytes([1, 2]) }) }),
    );
    const el = await draw(widget, model);
    expect(names(el)).toContain(hostile);
    expect(el.querySelector("img")).toBeNull();
  });
});
