import { afterEach, describe, expect, it, vi } from "vitest";
import { Host, HostModel, open, type Page, restore, start, startAll } from "../src/host";
import type { RenderProps, WidgetModule } from "../src/model";

const MODULES = Symbol.for("llm_interp_widgets");

afterEach(() => {
  document.body.replaceChildren();
  vi.unstubAllGlobals();
  Reflect.deleteProperty(globalThis, MODULES);
});

/** An island as export/_payload.py writes it. */
async function island(page: object, blocks: Uint8Array = new Uint8Array()): Promise<string> {
  let head = JSON.stringify(page);
  head += " ".repeat((8 - ((4 + head.length) % 8)) % 8);
  const whole = new Uint8Array(4 + head.length + blocks.length);
  new DataView(whole.buffer).setUint32(0, head.length, true);
  whole.set(new TextEncoder().encode(head), 4);
  whole.set(blocks, 4 + head.length);
  const stream = new Blob([whole]).stream().pipeThrough(new CompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  return btoa(String.fromCharCode(...bytes));
}

function put(packed: string): void {
  const script = document.createElement("script");
  script.type = "application/octet-stream";
  script.dataset["liwIsland"] = "";
  script.textContent = packed;
  document.body.append(script);
}

const NO_BYTES = new DataView(new ArrayBuffer(0));

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

  it("listens to several events at once, as Backbone's do", () => {
    const model = new HostModel({ a: 1, b: 1 });
    const heard = vi.fn();
    model.on("change:a change:b", heard);
    model.set("a", 2);
    model.set("b", 2);
    expect(heard).toHaveBeenCalledTimes(2);
    model.off("change:a change:b", heard);
    model.set("b", 3);
    expect(heard).toHaveBeenCalledTimes(2);
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
  it("puts buffers back where they were", async () => {
    const buffers = [
      { path: ["a", "b", 0], at: 8, size: 2 },
      { path: ["c"], at: 0, size: 0 },
    ];
    const state = { a: { b: [null, 1] }, c: null };
    const models = [{ id: "x", bundle: "x", state, buffers }];
    const blocks = Uint8Array.from([9, 9, 9, 9, 9, 9, 9, 9, 0, 1, 7, 7]);
    const [page, bytes] = await open(await island({ bundles: {}, models }, blocks));
    const restored = restore(page.models[0] as Page["models"][0], bytes) as {
      a: { b: [DataView, number] };
      c: DataView;
    };
    expect(restored.a.b[0].byteLength).toBe(2);
    expect(restored.a.b[0].getUint8(1)).toBe(1);
    expect(restored.a.b[1]).toBe(1);
    expect(restored.c.byteLength).toBe(0);
  });

  it("is opened wherever an island stands, once, with modules that scripts put there", async () => {
    const render = vi.fn(NAME.render);
    const modules = new Map([["name-1", { ...NAME, render }]]);
    Object.assign(globalThis, { [MODULES]: modules });
    const [first, second] = [place("one"), place("two")];
    const make = (id: string) => ({ id, bundle: "name", state: { name: id }, buffers: [] });
    const keys = { name: "name-1" };
    const one = await island({ bundles: {}, keys, models: [make("one")] });
    put(one);
    put(one);
    put(await island({ bundles: {}, keys, models: [make("two")] }));
    await startAll(document);
    await startAll(document);
    expect([first.textContent, second.textContent]).toEqual(["one", "two"]);
    expect(render).toHaveBeenCalledTimes(2);
  });

  it("waits for a bundle that another island brings", async () => {
    const el = place("late");
    const models = [{ id: "late", bundle: "name", state: { name: "late" }, buffers: [] }];
    put(await island({ bundles: {}, keys: { name: "name" }, models }));
    const started = startAll(document);
    await new Promise((later) => setTimeout(later, 120));
    (Reflect.get(globalThis, MODULES) as Map<string, unknown>).set("name", NAME);
    await started;
    expect(el.textContent).toBe("late");
  });

  it("says so in a browser that cannot unpack it, and keeps what stood there", async () => {
    vi.stubGlobal("DecompressionStream", undefined);
    Reflect.deleteProperty(globalThis, "DecompressionStream");
    const el = place("old");
    el.append("France pushed hardest.");
    put("eJw=");
    await startAll(document);
    expect(el.textContent).toMatch(/^France pushed hardest\.This browser is too old .* 16\.4\.$/);
  });

  it("shows each model in its place and loads each bundle once", async () => {
    const load = vi.fn(async () => NAME);
    const [first, second] = [place("one"), place("two")];
    const make = (id: string) => ({ id, bundle: "name", state: { name: id }, buffers: [] });
    await start(page([make("one"), make("two")]), NO_BYTES, document, load);
    expect([first.textContent, second.textContent]).toEqual(["one", "two"]);
  });

  it("says what went wrong, as text, and shows the rest", async () => {
    const broken = place("broken");
    const fine = place("fine");
    const nowhere = place("nowhere");
    broken.append("What stood there.");
    const load = async (bundle: string): Promise<WidgetModule> => {
      if (bundle === "none") throw new Error("<b>no</b>");
      return NAME;
    };
    const models = [
      { id: "broken", bundle: "none", state: {}, buffers: [] },
      { id: "fine", bundle: "name", state: { name: "fine" }, buffers: [] },
    ];
    await start(page(models), NO_BYTES, document, load);
    expect(broken.textContent).toMatch(/^What stood there\.This view .*<b>no<\/b>$/);
    expect(broken.querySelector("b")).toBeNull();
    expect(nowhere.textContent).toBe(""); // another island's, perhaps
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
