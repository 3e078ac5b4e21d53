import { afterEach, describe, expect, it, vi } from "vitest";
import { Host, HostModel, type Page, restore, start } from "../src/host";
import type { RenderProps, WidgetModule } from "../src/model";

afterEach(() => document.body.replaceChildren());

describe("a model", () => {
  it("tells listeners of changes and only of changes", () => {
    const model = new HostModel({ a: 1 });
    const heard = vi.fn();
    model.on("change:a", heard);
    model.set("a", 1);
    model.set("a", 2);
    expect(heard).toHaveBeenCalledOnce();
    expect(model.get("a")).toBe(2);
    model.off("change:a", heard);
    model.set("a", 3);
    expect(heard).toHaveBeenCalledOnce();
    model.on("change:a", heard);
    model.off("change:a");
    model.set("a", 4);
    expect(heard).toHaveBeenCalledOnce();
  });

  it("sends and saves nothing", () => {
    const model = new HostModel({});
    model.send({ type: "cancel" });
    model.save_changes();
    expect(model.offline).toBe(true);
  });
});

const NAME: WidgetModule = {
  initialize: ({ model }) => ({ name: model.get("name") }),
  render({ model, el }: RenderProps) {
    el.textContent = String(model.get("name"));
    return () => el.replaceChildren();
  },
};

function page(models: Page["models"]): Page {
  return { bundles: {}, models };
}

function place(id: string): HTMLElement {
  const el = document.createElement("div");
  el.dataset["liwView"] = id;
  document.body.append(el);
  return el;
}

describe("a page", () => {
  it("puts buffers back where they were", () => {
    const state = { a: { b: [null, 1] }, c: null };
    const buffers = [
      { path: ["a", "b", 0], data: "AAE=" },
      { path: ["c"], data: "" },
    ];
    const restored = restore({ id: "x", bundle: "x", state, buffers }) as {
      a: { b: [DataView, number] };
      c: DataView;
    };
    expect(restored.a.b[0].getUint8(1)).toBe(1);
    expect(restored.a.b[1]).toBe(1);
    expect(restored.c.byteLength).toBe(0);
  });

  it("shows each model in its place and loads each bundle once", async () => {
    const load = vi.fn(async () => NAME);
    const [first, second] = [place("one"), place("two")];
    const make = (id: string) => ({ id, bundle: "name", state: { name: id }, buffers: [] });
    await start(page([make("one"), make("two")]), document, load);
    expect([first.textContent, second.textContent]).toEqual(["one", "two"]);
  });

  it("says what went wrong, as text, and shows the rest", async () => {
    const broken = place("broken");
    const fine = place("fine");
    const nowhere = place("nowhere");
    const load = async (bundle: string): Promise<WidgetModule> => {
      if (bundle === "none") throw new Error("<b>no</b>");
      return NAME;
    };
    const models = [
      { id: "broken", bundle: "none", state: {}, buffers: [] },
      { id: "fine", bundle: "name", state: { name: "fine" }, buffers: [] },
    ];
    await start(page(models), document, load);
    expect(broken.textContent).toContain("<b>no</b>");
    expect(broken.children).toHaveLength(0);
    expect(nowhere.textContent).toContain("no widget");
    expect(fine.textContent).toBe("fine");
  });
});

describe("a host", () => {
  it("finds models and widgets by any kind of reference", async () => {
    const host = new Host(async () => NAME);
    const model = host.add("m", "name", { name: "M" });
    expect(await host.getModel("IPY_MODEL_m")).toBe(model);
    const widget = await host.getWidget("anywidget:m");
    expect(widget.exports).toEqual({ name: "M" });
    const el = document.createElement("div");
    const clear = await widget.render({ el });
    expect(el.textContent).toBe("M");
    clear();
    expect(el.textContent).toBe("");
    await expect(host.getModel("x")).rejects.toThrow('no widget "x"');
  });

  it("aborts its views when it is closed", async () => {
    let seen: AbortSignal | undefined;
    const host = new Host(async () => ({
      render({ signal }: RenderProps) {
        seen = signal;
      },
    }));
    host.add("m", "name", {});
    await (await host.getWidget("m")).render({ el: document.createElement("div") });
    expect(seen?.aborted).toBe(false);
    host.close();
    expect(seen?.aborted).toBe(true);
  });
});
