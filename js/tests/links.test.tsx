import { act } from "preact/test-utils";
import { afterEach, describe, expect, it } from "vitest";
import { pieceAt } from "../src/links";
import waterfall from "../src/widgets/shap_waterfall";
import highlighter from "../src/widgets/token_highlighter";
import { draw, KernelModel, snapshot, subject, token, traits, wipe } from "./samples";

afterEach(wipe);

const words = subject({
  inputs: [token("The capital", 0), token(" of France is", 1)].map((piece, i) => ({
    ...piece,
    start: [0, 11][i] ?? 0,
    end: [11, 24][i] ?? 0,
  })),
});

async function point(el: Element | null | undefined, type: string): Promise<void> {
  await act(() => void el?.dispatchEvent(new MouseEvent(type, { bubbles: true })));
}

describe("views of one text", () => {
  it("share what is pointed at and pinned, each in its own pieces", async () => {
    const tokens = new KernelModel(traits());
    const coarse = new KernelModel(traits({ snapshot: snapshot({ subject: words }) }));
    const text = await draw(highlighter, tokens);
    const other = await draw(highlighter, coarse);
    const france = text.querySelector('[data-index="3"]');
    await point(france, "pointerover");
    const looked = other.querySelectorAll("[data-looked]");
    expect([...looked].map((mark) => mark.textContent)).toEqual([" of France is"]);
    expect(text.querySelector("[data-looked]")).toBeNull();
    await point(france, "click");
    expect([tokens.get("selected"), coarse.get("selected")]).toEqual([3, 1]);
    await point(france, "click");
    expect([tokens.get("selected"), coarse.get("selected")]).toEqual([null, null]);
  });

  it("know who points, also where another did a moment ago", async () => {
    const [one, two] = [new KernelModel(traits()), new KernelModel(traits())];
    const [text, other] = [await draw(highlighter, one), await draw(highlighter, two)];
    await point(text.querySelector('[data-index="3"]'), "pointerover");
    expect(other.querySelector(".liw-tip")).toBeNull();
    await point(other.querySelector('[data-index="3"]'), "pointerover");
    expect(other.querySelector(".liw-tip")).not.toBeNull();
    expect(text.querySelector(".liw-tip")).toBeNull();
  });

  it("share the output of one job only", async () => {
    const two = subject({ outputs: [token(" Paris", 0), token(",", 1)] });
    const models = ["job", "job", "another"].map(
      (job) => new KernelModel(traits({ snapshot: snapshot({ subject: two, job }) })),
    );
    const [first] = await Promise.all(
      models.map((model, i) => draw(i === 0 ? highlighter : waterfall, model)),
    );
    await act(() => first?.querySelectorAll<HTMLInputElement>("input")[1]?.click());
    expect(models.map((model) => model.get("output"))).toEqual([1, 1, 0]);
  });

  it("leave views of other texts alone", async () => {
    const [here, there] = [
      new KernelModel(traits()),
      new KernelModel(traits({ snapshot: snapshot({ subject: subject({ prompt: "Other" }) }) })),
    ];
    const text = await draw(highlighter, here);
    await draw(highlighter, there);
    await point(text.querySelector('[data-index="1"]'), "click");
    expect(there.get("selected")).toBeNull();
  });
});

it("finds the piece that shares most of a span", () => {
  expect(pieceAt(subject().inputs, 0, 3)).toBe(0);
  expect(pieceAt(words.inputs, 9, 14)).toBe(1);
  expect(pieceAt(words.inputs, 24, 30)).toBeNull();
});
