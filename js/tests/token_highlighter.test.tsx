import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { HostModel } from "../src/host";
import widget from "../src/widgets/token_highlighter";
import {
  bytes,
  chunk,
  draw,
  KernelModel,
  PARIS,
  progress,
  SCORES,
  snapshot,
  subject,
  token,
  traits,
  wipe,
} from "./samples";

afterEach(wipe);

const ERRORS = [0.1, 0.1, 0.7, 0.1, 0.1];

function marks(el: HTMLElement): HTMLElement[] {
  return [...el.querySelectorAll<HTMLElement>("[data-index]")];
}

function label(el: HTMLElement, index: number): string | null | undefined {
  return marks(el)[index]?.getAttribute("aria-label");
}

function kinds(el: HTMLElement): (string | undefined)[] {
  return marks(el).map((mark) => mark.dataset["kind"]);
}

async function press(key: string): Promise<void> {
  await act(() => {
    document.activeElement?.dispatchEvent(
      new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }),
    );
  });
}

function focused(): string | undefined {
  return (document.activeElement as HTMLElement | null)?.dataset["index"];
}

function button(el: HTMLElement, name: string): HTMLButtonElement | undefined {
  return [...el.querySelectorAll("button")].find((item) => item.textContent === name);
}

describe("the text", () => {
  it("is the prompt to the letter", async () => {
    const texts = [
      "The",
      " 👩‍💻",
      "今",
      "天\n\n",
      "\t</script><img src=x onerror=alert(1)>",
      " \ud800",
    ];
    const about = subject({ inputs: texts.map((text, i) => token(text, i)) });
    const model = new KernelModel(traits({ snapshot: snapshot({ subject: about }) }));
    const el = await draw(widget, model);
    expect(marks(el).map((mark) => mark.textContent)).toEqual(texts);
    expect(el.querySelector("img, script")).toBeNull();
  });

  it("keys by position: two equal tokens have their own scores", async () => {
    const about = subject({ inputs: [token("a", 0), token("a", 1)] });
    const scores = bytes([1, -1]);
    const el = await draw(
      widget,
      new KernelModel(traits({ snapshot: snapshot({ subject: about, scores }) })),
    );
    expect(kinds(el)).toEqual(["raises", "lowers"]);
  });

  it("marks direction, doubt, absence and markup", async () => {
    const inputs = PARIS.map((text, i) => token(text, i, { special: i === 4 }));
    const about = subject({ inputs });
    const scores = bytes([1.7, -3.7, 1.2, Number.NaN, Number.NaN]);
    const standard_error = bytes(ERRORS);
    const model = new KernelModel(
      traits({ snapshot: snapshot({ subject: about, scores, standard_error }) }),
    );
    const el = await draw(widget, model);
    expect(kinds(el)).toEqual(["raises", "lowers", "unsure", "absent", "special"]);
    expect(label(el, 2)).toContain("interval crosses zero");
    expect(label(el, 3)).toBe("“France”, fourth token, no score yet");
    expect(label(el, 4)).toContain("special");
    expect(el.textContent).toContain("95 % interval crosses zero");
  });

  it("calls no score an effect that is none", async () => {
    const about = subject({ unit: "score", method: "saliency" });
    const el = await draw(
      widget,
      new KernelModel(traits({ snapshot: snapshot({ subject: about }) })),
    );
    expect(label(el, 3)).toBe("“France”, fourth token, +6.90 score, not an effect");
    expect(el.textContent).toContain("score for “Paris”, not an effect");
    expect(el.textContent).not.toMatch(/raises|lowers/);
  });

  it("speaks in sentences", async () => {
    const el = await draw(widget, new KernelModel(traits()));
    expect(label(el, 3)).toBe("“France”, fourth token, +6.90 log-probability, raises “Paris”");
    expect(label(el, 4)).toContain("−3.40 log-probability, lowers “Paris”");
  });

  it("labels the turns of a chat", async () => {
    const inputs = [
      token("<|im_start|>", 0, { role: "user", special: true }),
      token("Hi", 1, { role: "user" }),
      token("<|im_start|>", 2, { role: "assistant", special: true }),
    ];
    const model = new KernelModel(traits({ snapshot: snapshot({ subject: subject({ inputs }) }) }));
    const el = await draw(widget, model);
    const groups = [...el.querySelectorAll(".liw-turn")].map((turn) =>
      turn.getAttribute("aria-label"),
    );
    expect(groups).toEqual(["user turn", "assistant turn"]);
    expect(marks(el)).toHaveLength(3);
  });

  it("puts the strongest tint at the limit, whoever set it", async () => {
    const model = new KernelModel(traits());
    const el = await draw(widget, model);
    const strength = (i: number): string | undefined =>
      marks(el)[i]?.querySelector<HTMLElement>(".liw-ink")?.style.getPropertyValue("--t");
    expect(strength(3)).toBe("1.000");
    await act(() => model.set("color_limit", 13.8));
    expect(strength(3)).toBe("0.500");
    expect(el.textContent).toContain("+13.8");
  });
});

describe("the keyboard", () => {
  it("moves with one stop for Tab, pins with Enter and Space, releases with Escape", async () => {
    const model = new KernelModel(traits());
    const el = await draw(widget, model);
    const stops = (): HTMLElement[] => marks(el).filter((mark) => mark.tabIndex === 0);
    expect(stops()).toHaveLength(1);
    await act(() => stops()[0]?.focus());
    await press("ArrowRight");
    await press("ArrowRight");
    await press("ArrowLeft");
    expect(focused()).toBe("1");
    expect(stops().map((mark) => mark.dataset["index"])).toEqual(["1"]);
    await press("Enter");
    expect(model.saved).toEqual([{ selected: 1 }]);
    expect(marks(el)[1]?.getAttribute("aria-selected")).toBe("true");
    await press("End");
    expect(focused()).toBe("4");
    await press(" ");
    expect(model.get("selected")).toBe(4);
    await press("Escape");
    expect(model.get("selected")).toBeNull();
    await press("Home");
    await press("ArrowLeft");
    expect(focused()).toBe("0");
  });

  it("shows the values of the focused token", async () => {
    const standard_error = bytes(ERRORS);
    const el = await draw(
      widget,
      new KernelModel(traits({ snapshot: snapshot({ standard_error }) })),
    );
    await act(() => marks(el)[3]?.focus());
    const tip = el.querySelector(".liw-tip")?.textContent;
    expect(tip).toContain("+6.90 ± 0.196 log-probability");
    expect(tip).toContain("rank 1 of 5");
    await act(() => marks(el)[3]?.blur());
    expect(el.querySelector(".liw-tip")).toBeNull();
  });
});

describe("selection", () => {
  it("comes from Python, and nonsense is no selection", async () => {
    const model = new KernelModel(traits({ selected: 3 }));
    const el = await draw(widget, model);
    expect(el.querySelector(".liw-pinned")?.textContent).toContain("+6.90");
    for (const nonsense of [99, -1, 1.5, "1", Number.NaN]) {
      await act(() => model.set("selected", nonsense));
      expect(el.querySelector("[aria-selected=true]")).toBeNull();
    }
  });

  it("is shared by two views of one model", async () => {
    const model = new KernelModel(traits());
    const [first, second] = [await draw(widget, model.proxy()), await draw(widget, model.proxy())];
    await act(() => marks(first)[2]?.click());
    expect(marks(second)[2]?.getAttribute("aria-selected")).toBe("true");
    await act(() => marks(second)[2]?.click());
    expect(model.get("selected")).toBeNull();
  });
});

describe("outputs", () => {
  const outputs = [" Paris", " London"].map((text, i) => token(text, i));

  it("are chosen by the reader or by Python", async () => {
    const scores = bytes([...SCORES, -1, -1, -1, -1, Number.NaN]);
    const model = new KernelModel(
      traits({ snapshot: snapshot({ subject: subject({ outputs }), scores }) }),
    );
    const el = await draw(widget, model);
    expect(el.querySelector("h2")?.textContent).toBe("Why “Paris”?");
    await act(() => el.querySelectorAll<HTMLInputElement>("input[type=radio]")[1]?.click());
    expect(model.get("output")).toBe(1);
    expect(el.querySelector("h2")?.textContent).toBe("Why “London”?");
    expect(kinds(el)).toEqual(["lowers", "lowers", "lowers", "lowers", "absent"]);
    await act(() => model.set("output", 99));
    expect(el.querySelector("h2")?.textContent).toBe("Why “London”?");
  });
});

describe("progress", () => {
  it("says what is known, marks a preview, and cancels", async () => {
    const state = progress({ preview: true, done: 128, total: 512, seconds: 2 });
    const model = new KernelModel(traits({ snapshot: snapshot({ state }) }));
    const el = await draw(widget, model);
    const line = el.querySelector(".liw-progress")?.textContent;
    expect(line).toContain("preview");
    expect(line).toContain("128 of 512 · 64/s · 6 s left");
    expect(el.querySelector("[role=progressbar]")?.getAttribute("aria-valuenow")).toBe("128");
    await act(() => button(el, "Cancel")?.click());
    expect(model.sent.at(-1)).toEqual({ type: "cancel", job: "job" });
    expect(button(el, "Stopping…")?.disabled).toBe(true);
  });

  it("follows the stream to its end and tells a screen reader", async () => {
    const model = new KernelModel(traits());
    const el = await draw(widget, model);
    const state = progress({ status: "done", verdict: "converged", sentences: ["France pushed."] });
    await act(() => model.emit("msg:custom", chunk(1, { state }), [bytes([9, 9, 9, -9, 9])]));
    expect(marks(el)[3]?.dataset["kind"]).toBe("lowers");
    expect(el.querySelector("[role=status]")?.textContent).toContain("converged. France pushed.");
    expect(el.querySelector(".liw-verdict")?.textContent).toBe("converged");
    expect(button(el, "Cancel")).toBeUndefined();
  });

  it("keeps its numbers when the job fails and says why, as text", async () => {
    const error = { name: "NonFiniteError", message: "<img src=x onerror=alert(1)>" };
    const state = progress({ status: "failed", error });
    const el = await draw(widget, new KernelModel(traits({ snapshot: snapshot({ state }) })));
    const panel = el.querySelector("[role=alert]");
    expect(panel?.textContent).toBe(error.name + error.message);
    expect(el.querySelector("img")).toBeNull();
    expect(kinds(el)[3]).toBe("raises");
  });

  it("offers no cancel where there is no kernel", async () => {
    const el = await draw(widget, new HostModel(traits()));
    expect(button(el, "Cancel")).toBeUndefined();
    expect(el.textContent).toContain("stopped while still moving");
  });

  it("still calls a preview one when the job stops there", async () => {
    const state = progress({ status: "cancelled", preview: true });
    const el = await draw(widget, new KernelModel(traits({ snapshot: snapshot({ state }) })));
    const line = el.querySelector("[data-outcome=cancelled]")?.textContent;
    expect(line).toContain("cancelled, unfinished");
    expect(line).toContain("preview");
  });

  it("tells what was not computed from what is zero", async () => {
    const scores = bytes([0, 2, Number.NaN, Number.NaN, 1]);
    const partial = await draw(widget, new KernelModel(traits({ snapshot: snapshot({ scores }) })));
    expect(partial.querySelector(".liw-text[data-partial]")).not.toBeNull();
    expect(partial.textContent).toContain("dotted: not computed");
    const whole = snapshot({ scores: bytes([0, 2, 0, 0, 1]) });
    const el = await draw(widget, new KernelModel(traits({ snapshot: whole })));
    expect(el.querySelector("[data-partial]")).toBeNull();
    expect(el.textContent).not.toContain("not computed");
  });

  it("tells each outcome by its own shape", async () => {
    const shapes = new Set<string | null | undefined>();
    const verdicts = ["exact", "converged", "still moving", "did not converge", "unknown"] as const;
    for (const verdict of verdicts) {
      const state = progress({ status: "done", verdict });
      const el = await draw(widget, new KernelModel(traits({ snapshot: snapshot({ state }) })));
      shapes.add(el.querySelector(".liw-verdict-icon path")?.getAttribute("d"));
    }
    expect(shapes.size).toBe(verdicts.length);
  });
});

describe("before and beyond", () => {
  it.each([null, {}, undefined])("waits when the snapshot is %j", async (nothing) => {
    const model = new KernelModel(traits({ snapshot: nothing }));
    const el = await draw(widget, model);
    expect(el.textContent).toContain("Waiting for the explanation");
    await act(() => model.set("snapshot", snapshot()));
    expect(marks(el)).toHaveLength(5);
  });

  it("explains a kernel of another version", async () => {
    const el = await draw(
      widget,
      new KernelModel(traits({ snapshot: snapshot({ protocol: 99 }) })),
    );
    expect(el.querySelector("[role=alert]")?.textContent).toContain("protocol 99");
  });

  it("shows facts with words for their level", async () => {
    const facts = [
      { label: "gap", value: "7 %", level: "warn" as const },
      { label: "ranking", value: "depends", level: "bad" as const },
    ];
    const state = progress({ status: "done", facts });
    const el = await draw(widget, new KernelModel(traits({ snapshot: snapshot({ state }) })));
    const words = [...el.querySelectorAll(".liw-facts dd")].map((dd) => dd.textContent);
    expect(words).toEqual(["Caution: 7 %", "Problem: depends"]);
  });

  it("lets go of the model and the element", async () => {
    const model = new KernelModel(traits());
    const el = document.createElement("div");
    const stop = widget.initialize?.({ model: model.proxy() }) as () => void;
    let clear: unknown;
    await act(() => {
      clear = widget.render({ model: model.proxy(), el });
    });
    expect(marks(el)).toHaveLength(5);
    (clear as () => void)();
    expect(el.childElementCount).toBe(0);
    expect(model.listening).toBeGreaterThan(0);
    stop();
    expect(model.listening).toBe(0);
  });

  it("puts one style sheet into the shadow root it lives in", async () => {
    const outer = document.createElement("div");
    document.body.append(outer);
    const root = outer.attachShadow({ mode: "open" });
    for (let i = 0; i < 2; i++) {
      const el = document.createElement("div");
      root.append(el);
      await act(() => {
        widget.render({ model: new KernelModel(traits()), el });
      });
    }
    expect(root.adoptedStyleSheets).toHaveLength(1);
    expect(root.querySelector("style")).toBeNull();
  });
});

describe("the table twin", () => {
  async function open(): Promise<HTMLElement> {
    const standard_error = bytes(ERRORS);
    const el = await draw(
      widget,
      new KernelModel(traits({ snapshot: snapshot({ standard_error }) })),
    );
    const fold = el.querySelectorAll<HTMLDetailsElement>("details")[0];
    await act(() => {
      if (fold) fold.open = true;
      fold?.dispatchEvent(new Event("toggle"));
    });
    return el;
  }

  const column = (el: HTMLElement, n: number): (string | null | undefined)[] =>
    [...el.querySelectorAll("tbody tr")].map((row) => row.children[n]?.textContent);

  it("is made only when it is opened, and says everything", async () => {
    const el = await open();
    expect(column(el, 1)).toEqual(["The", "␣capital", "␣of", "␣France", "␣is"]);
    expect(column(el, 2)).toEqual(["+1.70", "+3.70", "+1.20", "+6.90", "−3.40"]);
    expect(column(el, 6)).toEqual(["", "", "interval crosses zero", "", ""]);
  });

  it("sorts by any column, both ways", async () => {
    const el = await open();
    const sort = (): Promise<void> =>
      act(() => el.querySelector<HTMLElement>("[data-column=score] button")?.click());
    await sort();
    expect(column(el, 2)).toEqual(["+6.90", "+3.70", "+1.70", "+1.20", "−3.40"]);
    expect(el.querySelector("[data-column=score]")?.getAttribute("aria-sort")).toBe("descending");
    await sort();
    expect(column(el, 2)[0]).toBe("−3.40");
  });
});
