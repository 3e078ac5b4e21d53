import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { codeOf } from "../src/attention/ramp";
import type { Want } from "../src/protocol.gen";
import widget from "../src/widgets/attention_browser";
import { browserTraits, Heads, overview, STACK } from "./heads";
import { draw, wipe } from "./samples";

let el: HTMLElement;
let model: Heads;

async function show(more = {}): Promise<void> {
  model = new Heads(browserTraits(more));
  el = await draw(widget, model);
  await settle();
}

/** Answers, frames and effects follow each other a few times. */
async function settle(): Promise<void> {
  for (let i = 0; i < 6; i++) await act(() => new Promise((done) => setTimeout(done, 20)));
}

async function press(target: Element | null, key: string): Promise<void> {
  await act(() => {
    target?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  });
  await settle();
}

function button(words: string): HTMLButtonElement {
  const found = [...el.querySelectorAll("button")].find((one) => one.textContent?.includes(words));
  if (!found) throw new Error(`no button ${words}`);
  return found;
}

async function click(words: string): Promise<void> {
  await act(() => button(words).click());
  await settle();
}

beforeEach(() => {
  globalThis.ResizeObserver ??= class {
    observe(): void {}
    unobserve(): void {}
    disconnect(): void {}
  } as unknown as typeof ResizeObserver;
});
afterEach(wipe);

describe("the overview", () => {
  it("says what weights are not, and how far it is", async () => {
    await show();
    expect(el.textContent).toContain("Weights, not importance.");
    expect(el.querySelector("h2")?.textContent).toBe("Where 6 heads look");
    expect(el.textContent).toContain("sampled; exact 0 of 2");
    expect(el.querySelector("canvas")?.dataset["drawn"]).toBe("2");
  });

  it("opens a head and pins it by keyboard", async () => {
    await show();
    const canvas = el.querySelector("canvas");
    await press(canvas, "ArrowRight");
    await press(canvas, "ArrowDown");
    expect(el.querySelector(".liw-heads-overview .liw-pinned")?.textContent).toContain(
      "Layer 1, head 1",
    );
    await press(canvas, "p");
    await press(canvas, "Enter");
    expect(model.state["head"]).toEqual([1, 1]);
    expect(model.state["selected_heads"]).toEqual([[1, 1]]);
    expect(el.querySelector(".liw-heads-shelf")?.textContent).toContain("1.1");
    await act(() => el.querySelector<HTMLButtonElement>("[aria-label*='Take layer 1']")?.click());
    expect(model.state["selected_heads"]).toEqual([]);
  });

  it("follows what Python sets", async () => {
    await show();
    model.set("head", [1, 2]);
    await settle();
    expect(el.querySelector("h3")?.textContent).toBe("Layer 1, head 2");
    model.set("sort", "induction");
    model.set("least", 0.45);
    await settle();
    expect(el.textContent).toContain("2 heads");
    expect(el.textContent).toContain("4 heads score less than 0.450");
  });

  it("shows what failed, and stays", async () => {
    await show({ failure: { name: "MemoryError", message: "no <b>room</b>" } });
    expect(el.querySelector("[role=alert]")?.textContent).toContain("no <b>room</b>");
    expect(el.querySelector("canvas")).not.toBeNull();
  });

  it("has a table of all scores", async () => {
    await show({ overviews: [overview({ stages: [2, 2], status: "done" })] });
    const fold = [...el.querySelectorAll("details")].find((d) => d.textContent?.includes("Table"));
    await act(() => {
      if (fold) fold.open = true;
      fold?.dispatchEvent(new Event("toggle"));
    });
    expect(fold?.querySelectorAll("tbody tr")).toHaveLength(6);
    await click("induction");
    expect(fold?.querySelector("tbody th")?.textContent).toBe("1.2");
    await act(() => fold?.querySelector<HTMLButtonElement>("tbody button")?.click());
    expect(model.state["head"]).toEqual([1, 2]);
  });
});

describe("an open head", () => {
  it("says the tokens and the exact weight under the crosshair", async () => {
    await show({ selected: 2, key: 1 });
    expect(el.querySelector(".liw-heads-open .liw-pinned")?.textContent).toContain("“c” 2 → “b” 1");
    expect(el.textContent).toContain("weight 0.500 · row sums to 1.00 · entropy 1.00 nats");
    expect(el.textContent).toContain("key gets 1.50 in all");
  });

  it("moves the crosshair by keyboard, pins what Python reads, and says what is not seen", async () => {
    await show();
    const canvas = el.querySelector(".liw-heads-matrix canvas");
    await press(canvas, "ArrowRight");
    expect(el.textContent).toContain("comes later and cannot be seen");
    await press(canvas, "ArrowDown");
    await press(canvas, "Enter");
    expect([model.state["selected"], model.state["key"]]).toEqual([1, 1]);
    await press(canvas, "Enter");
    expect([model.state["selected"], model.state["key"]]).toEqual([null, null]);
  });

  it("is switched off at one click", async () => {
    await show();
    await click("Switch it off");
    expect(el.querySelector(".liw-heads-effect")?.textContent).toContain(
      "−1.50 log-probability of “ d”: −0.500 with it, −2.00 without",
    );
    expect(el.textContent).toContain("Likeliest: “d” (60\u2009%), without it “e” (30\u2009%)");
    model.set("head", [0, 1]);
    await settle();
    expect(el.querySelector(".liw-heads-effect b")).toBeNull();
  });

  it("tints the text by what a token attends to and is attended by", async () => {
    await show({ mode: "text", selected: 1 });
    const marks = [...el.querySelectorAll<HTMLElement>(".liw-heads-mark")];
    expect(marks.map((mark) => mark.textContent)).toEqual(["a", " b", " c"]);
    expect(marks[0]?.dataset["kind"]).toBe("lowers");
    expect(Number(marks[0]?.style.getPropertyValue("--t"))).toBeCloseTo(Math.cbrt(0.5), 1);
    expect(marks[1]?.ariaSelected).toBe("true");
    await press(marks[1] ?? null, "ArrowRight");
    expect(marks[2]?.ariaSelected).toBe("true");
    await press(marks[2] ?? null, "Enter");
    expect(model.state["selected"]).toBe(2);
  });

  it("tints two texts by a pinned cell: keys by its row, queries by its column", async () => {
    class Across extends Heads {
      override bytes({ rows, cols }: Want): unknown[] {
        const shares = cols.length > rows.length ? [0, 0, 0.5] : [0.1, 0.9];
        return [new DataView(Uint8Array.from(shares, codeOf).buffer)];
      }
    }
    const traits = browserTraits({ mode: "text", selected: 1, key: 2, stack: "cross" });
    const subject = traits["subject"] as { texts: unknown[]; stacks: unknown[] };
    subject.texts.push({ ...(subject.texts[0] as object), tokens: ["x", " y"] });
    subject.stacks = [{ ...STACK, name: "cross", title: "cross", causal: false, queries: 1 }];
    model = new Across(traits);
    el = await draw(widget, model);
    await settle();
    const [asking, asked] = [...el.querySelectorAll("[role=listbox]")].map((list) =>
      [...list.querySelectorAll<HTMLElement>(".liw-heads-mark")].map((mark) => [
        mark.textContent,
        mark.dataset["kind"],
        mark.tabIndex,
      ]),
    );
    expect(asked).toEqual([
      ["a", undefined, -1],
      [" b", undefined, -1],
      [" c", "lowers", 0],
    ]);
    expect(asking).toEqual([
      ["x", "raises", -1],
      [" y", "raises", 0],
    ]);
    const place = el.querySelectorAll("[role=listbox]")[0];
    await press(place?.querySelector("[data-index='1']") ?? null, "ArrowLeft");
    const keys = [...el.querySelectorAll<HTMLElement>("[role=listbox]:last-of-type [data-index]")];
    expect(keys.filter((mark) => mark.tabIndex === 0)).not.toHaveLength(0);
  });

  it("is found by its tokens", async () => {
    await show();
    const input = el.querySelector<HTMLInputElement>("input[type=search]");
    await act(() => {
      if (input) input.value = "c";
      input?.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(el.textContent).toContain("1 found");
    await press(input, "Enter");
    expect(model.state["selected"]).toBe(2);
    expect(el.textContent).toContain("1 of 1");
  });

  it("is compared with another, with their difference", async () => {
    await show({ mode: "compare" });
    const second = () => [...el.querySelectorAll("figcaption")][1]?.textContent;
    expect(second()).toBe("Layer 0, head 1");
    model.set("selected_heads", [[1, 0]]);
    await settle();
    expect(second()).toBe("Layer 1, head 0");
    model.set("beside", [1, 2]);
    model.set("selected", 2);
    model.set("key", 1);
    await settle();
    expect(el.textContent).toContain("weight 0.500 · second 0.500 · difference 0");
    const captions = [...el.querySelectorAll("figcaption")].map((one) => one.textContent);
    expect(captions).toEqual([
      "Layer 0, head 0",
      "Layer 1, head 2",
      "First less second: orange where the first gives more",
    ]);
  });

  it("is compared with another text, seen whole whatever is taken together", async () => {
    const traits = browserTraits({ mode: "compare", beside: [0, 1, "second"] });
    const subject = traits["subject"] as { texts: unknown[]; stacks: unknown[] };
    const tokens = Array.from({ length: 600 }, (_, i) => ` ${i}`);
    subject.texts.push({ ...(subject.texts[0] as object), tokens });
    subject.stacks.push({ ...STACK, name: "second", queries: 1, keys: 1 });
    model = new Heads(traits);
    el = await draw(widget, model);
    await settle();
    expect(el.textContent).toContain("The texts have 3 and 600 pieces");
    model.set("pieces", "window");
    await settle();
    const asked = model.sent as { slot?: string; wants?: Want[] }[];
    const last = asked.filter(({ slot }) => slot === "second").at(-1);
    expect(last?.wants?.map(({ rows, cols }) => [rows.length, cols.length])).toEqual([[39, 39]]);
  });

  it("says why it attends here, by dimension and by earlier component", async () => {
    await show({ mode: "why" });
    expect(el.textContent).toContain("Pin a cell");
    model.set("selected", 2);
    model.set("key", 1);
    await settle();
    expect(el.textContent).toContain("“c” scores “b” with +0.750");
    expect(el.querySelectorAll(".liw-heads-bars span")).toHaveLength(2);
    expect(el.textContent).toContain("position bias: +0.250");
    await click("Split by earlier component");
    const rows = [...el.querySelectorAll(".liw-heads-parts tr")].map((row) => row.textContent);
    expect(rows[0]).toContain("embedding+0.500");
    expect(rows.at(-1)).toContain("embedding+0.125");
  });

  it("takes heads together", async () => {
    await show();
    const select = [...el.querySelectorAll("select")].find((one) => one.value === "");
    const all = [...el.querySelectorAll("select")].at(-1);
    expect(select).toBeDefined();
    const choice = [...el.querySelectorAll<HTMLSelectElement>(".liw-heads-title select")][0];
    expect([...(choice?.options ?? [])].map(({ value }) => value)).toEqual([
      "",
      "mean:layer",
      "max:layer",
      "mean:all",
      "max:all",
      "rollout:all",
    ]);
    await act(() => {
      if (choice) choice.value = "rollout:all";
      choice?.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await settle();
    expect([model.state["head"], model.state["how"]]).toEqual([[-1, -1], "rollout"]);
    expect(el.querySelector("h3")?.textContent).toBe("All layers: rollout over all heads");
    expect(all).toBeDefined();
  });

  it("says in words what the kernel refuses, and goes on", async () => {
    class Closed extends Heads {
      override said(): { said: Record<string, string>; error?: unknown } {
        return { said: {}, error: { name: "ResultError", message: "This record was closed." } };
      }
      override bytes(): unknown[] {
        return [];
      }
    }
    model = new Closed(browserTraits());
    el = await draw(widget, model);
    await settle();
    expect(el.querySelector(".liw-heads-problem")?.textContent).toBe("This record was closed.");
    expect(el.querySelector("canvas")?.dataset["drawn"]).toBe("2");
  });
});

it("a kernel that is gone is said once, and the view stays", async () => {
  await show();
  model.send = () => {
    throw new Error("Cannot send");
  };
  await click("Switch it off");
  expect(el.querySelector("[role=alert]")?.textContent).toContain("The kernel is gone");
  expect(el.textContent).toContain("Stopped: 0 of 2 layers are exact");
  expect(el.querySelector("canvas")?.dataset["drawn"]).toBe("2");
});

it("one head comes back after heads taken together", async () => {
  await show({ head: [1, 2] });
  const choice = el.querySelector<HTMLSelectElement>(".liw-heads-title select");
  const choose = async (value: string): Promise<void> => {
    await act(() => {
      if (choice) choice.value = value;
      choice?.dispatchEvent(new Event("change", { bubbles: true }));
    });
    await settle();
  };
  await choose("rollout:all");
  await choose("mean:layer");
  expect([model.state["head"], model.state["how"]]).toEqual([[1, -1], "mean"]);
  await choose("");
  expect([model.state["head"], model.state["how"]]).toEqual([[1, 2], ""]);
});

it("Escape lets go of what is pinned", async () => {
  await show({ selected: 2, key: 1 });
  await press(el.querySelector(".liw-heads-matrix canvas"), "Escape");
  expect([model.state["selected"], model.state["key"]]).toEqual([null, null]);
});

it("without a kernel the overview is there, and what is missing is said", async () => {
  model = new Heads(browserTraits({ kept: [{ left_out: "12 heads of layers 3 to 5." }] }));
  model.offline = true;
  el = await draw(widget, model);
  await settle();
  expect(el.querySelector(".liw-facts")?.textContent).toContain("12 heads of layers 3 to 5.");
  expect(el.querySelector(".liw-heads-effect")).toBeNull();
  expect(STACK.can).toContain("effect");
});
