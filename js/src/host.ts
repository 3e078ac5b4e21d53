/**
 * A minimal host of widgets where there is no Jupyter: exported pages, fragments, and tests.
 *
 * It implements what widgets use of the front-end module interface: a model with
 * get/set/on/off/save_changes/send, and `getModel`/`getWidget`, so that views on one page can
 * share a model or show each other. Nothing is sent anywhere. An island holds, deflated, the
 * bundles (each once), the models and where they are shown; a document may hold several.
 *
 * Bundles are loaded once a document, whichever island brings them: all islands share one map of
 * modules. Where a policy forbids modules made from text, each bundle is a script of the page that
 * puts itself into that map.
 */

import { inflate } from "./attention/inflate";
import type { Cleanup, KernelModule, Listener, Model, WidgetModule } from "./model";
import { addStyle } from "./sheet";

const ISLANDS = "script[data-liw-island]";
const MODULES = Symbol.for("llm_interp_widgets");
/** How long a bundle of another island is waited for. */
const PATIENCE_MS = 20_000;
const TOO_OLD =
  "This browser is too old to unpack this page. Chrome and Edge can from version 80 on, " +
  "Firefox from 113, Safari from 16.4.";

/** Bytes inside a model's state: where they stand in the island, and the keys that lead there. */
export interface PageBuffer {
  readonly path: readonly (string | number)[];
  readonly at: number;
  readonly size: number;
}

export interface PageModel {
  readonly id: string;
  readonly bundle: string;
  /** Bundle that answers its messages; none where it sends none that need an answer. */
  readonly kernel?: string;
  readonly state: Record<string, unknown>;
  readonly buffers: readonly PageBuffer[];
}

export interface Page {
  /** Source texts by key; keys without a text are brought by someone else. */
  readonly bundles: Readonly<Record<string, string>>;
  /** The key of a bundle, by its name, where the two differ. */
  readonly keys?: Readonly<Record<string, string>>;
  readonly models: readonly PageModel[];
}

type Module = WidgetModule & Partial<KernelModule>;

export class HostModel implements Model {
  readonly offline = true;
  #state: Map<string, unknown>;
  #listeners = new Map<string, Set<Listener>>();
  #load: (name: string) => Promise<unknown>;

  constructor(
    state: Readonly<Record<string, unknown>>,
    load: (name: string) => Promise<unknown> = nothing,
  ) {
    this.#state = new Map(Object.entries(state));
    this.#load = load;
  }

  part(name: string): Promise<unknown> {
    return this.#load(name);
  }

  get(name: string): unknown {
    return this.#state.get(name);
  }

  set(name: string, value: unknown): void {
    if (Object.is(this.#state.get(name), value)) return;
    this.#state.set(name, value);
    this.emit(`change:${name}`);
    this.emit("change");
  }

  on(names: string, listener: Listener): void {
    for (const name of names.split(" ")) {
      const listeners = this.#listeners.get(name) ?? new Set();
      this.#listeners.set(name, listeners.add(listener));
    }
  }

  off(names: string, listener?: Listener): void {
    for (const name of names.split(" ")) {
      if (listener === undefined) this.#listeners.delete(name);
      else this.#listeners.get(name)?.delete(listener);
    }
  }

  save_changes(): void {}

  /** Nothing leaves the page; what stands in for a kernel here listens to "sent". */
  send(content: unknown, _callbacks?: unknown, _buffers?: ArrayBuffer[]): void {
    this.emit("sent", content);
  }

  emit(name: string, ...args: unknown[]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(...args);
  }
}

export type Load = (bundle: string) => Promise<Module>;

function nothing(name: string): Promise<never> {
  return Promise.reject(new Error(`There is no bundle ${JSON.stringify(name)} on this page.`));
}

interface Entry {
  readonly model: HostModel;
  readonly ready: Promise<{ widget: WidgetModule; exports: unknown }>;
}

/** The models of one page by id. */
export class Host {
  #entries = new Map<string, Entry>();
  #controller = new AbortController();
  #load: Load;

  constructor(load: Load) {
    this.#load = load;
  }

  add(
    id: string,
    bundle: string,
    state: Readonly<Record<string, unknown>>,
    kernel = "",
  ): HostModel {
    const model = new HostModel(state, this.#load);
    const ready = this.#initialize(bundle, model, kernel);
    ready.catch(() => {});
    this.#entries.set(id, { model, ready });
    return model;
  }

  /** A model by id, or by a reference as Jupyter writes it (`IPY_MODEL_…`, `anywidget:…`). */
  async getModel(ref: string): Promise<HostModel> {
    return this.#entry(ref).model;
  }

  async getWidget(ref: string): Promise<{
    exports: unknown;
    render(props: { el: HTMLElement; signal?: AbortSignal }): Promise<Cleanup>;
  }> {
    const { model, ready } = this.#entry(ref);
    const { widget, exports } = await ready;
    return {
      exports,
      render: async ({ el, signal }) => {
        const controller = new AbortController();
        const signals = [this.#controller.signal, controller.signal, ...(signal ? [signal] : [])];
        const props = { model, el, signal: AbortSignal.any(signals), host: this };
        const cleanup = await widget.render(props);
        return () => {
          controller.abort();
          if (typeof cleanup === "function") cleanup();
        };
      },
    };
  }

  /** Ends all views and connections. */
  close(): void {
    this.#controller.abort();
    this.#entries.clear();
  }

  async #initialize(bundle: string, model: HostModel, kernel: string) {
    if (kernel) (await this.#load(kernel)).serve?.(model);
    const widget = await this.#load(bundle);
    const exports = await widget.initialize?.({ model, signal: this.#controller.signal });
    return { widget, exports };
  }

  #entry(ref: string): Entry {
    const id = ref.replace(/^(IPY_MODEL_|anywidget:)/, "");
    const entry = this.#entries.get(id);
    if (entry === undefined)
      throw new Error(`There is no widget ${JSON.stringify(id)} on this page.`);
    return entry;
  }
}

/** Put the buffers back where they were taken from. */
export function restore({ state, buffers }: PageModel, bytes: DataView): Record<string, unknown> {
  for (const { path, at, size } of buffers) {
    let place: unknown = state;
    for (const key of path.slice(0, -1)) place = (place as Record<string | number, unknown>)[key];
    const last = path.at(-1);
    if (last === undefined) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, size);
    (place as Record<string | number, unknown>)[last] = view;
  }
  return state;
}

/** Unpack an island: the length of the page's JSON, the JSON, and the bytes of all buffers. */
export async function open(packed: string): Promise<[page: Page, bytes: DataView]> {
  if (!("DecompressionStream" in globalThis)) throw new Error(TOO_OLD);
  const binary = atob(packed);
  const deflated = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) deflated[i] = binary.charCodeAt(i);
  const { buffer } = await inflate(deflated);
  const end = 4 + new DataView(buffer).getUint32(0, true);
  const page = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, end - 4))) as Page;
  return [page, new DataView(buffer, end)];
}

/** Modules by key, shared by everything in the document that shows views. */
function shared(): Map<string, Module | Promise<Module>> {
  const home = globalThis as { [MODULES]?: Map<string, Module | Promise<Module>> };
  home[MODULES] ??= new Map();
  return home[MODULES];
}

/** Loads each bundle once, from its text, or from where another script has put it. */
function loader({ bundles, keys = {} }: Page): Load {
  const modules = shared();
  return async (name) => {
    const key = keys[name] ?? name;
    const text = bundles[key];
    if (!modules.has(key) && text !== undefined) modules.set(key, imported(text));
    const awaited = name in keys ? PATIENCE_MS : 0;
    for (let waited = 0; !modules.has(key) && waited < awaited; waited += 50) {
      await new Promise((again) => setTimeout(again, 50));
    }
    return modules.get(key) ?? nothing(name);
  };
}

/** A module made from text: what it hands out itself, or what the function it hands out makes. */
export async function imported(text: string): Promise<Module> {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    const module = await import(/* @vite-ignore */ url);
    const given = module.default ?? module;
    return typeof given === "function" ? await given() : given;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** Show every widget of an island in the elements that carry its id in `data-liw-view`. */
export async function start(
  page: Page,
  bytes: DataView,
  document: Document,
  load = loader(page),
): Promise<Host> {
  const host = new Host(load);
  const places = [...document.querySelectorAll<HTMLElement>("[data-liw-view]")];
  const mine: [HTMLElement, string][] = [];
  for (const model of page.models) {
    host.add(model.id, model.bundle, restore(model, bytes), model.kernel);
    for (const place of places) {
      if (place.dataset["liwView"] !== model.id || place.dataset["liwShown"]) continue;
      place.dataset["liwShown"] = "true"; // an island that stands twice shows its views once
      mine.push([place, model.id]);
    }
  }
  await Promise.all(mine.map(([place, id]) => show(host, id, place)));
  return host;
}

/** What stood in the place stays where the view cannot be shown. */
async function show(host: Host, id: string, place: HTMLElement): Promise<void> {
  const el = document.createElement("div");
  try {
    const css = (await host.getModel(id)).get("_css");
    const widget = await host.getWidget(id);
    if (typeof css === "string" && css) addStyle(place, id, css);
    place.replaceChildren(el);
    await widget.render({ el });
  } catch (error) {
    el.remove();
    say(place, `This view could not be shown: ${String(error)}`);
  }
}

function say(place: HTMLElement, words: string): void {
  place.append(Object.assign(document.createElement("p"), { textContent: words }));
}

/** Show all islands of the document that nobody shows yet; they may wait for each other. */
export async function startAll(document: Document): Promise<void> {
  const islands = [...document.querySelectorAll<HTMLElement>(ISLANDS)];
  await Promise.all(
    islands.map(async (island) => {
      if (island.dataset["liwIsland"]) return;
      island.dataset["liwIsland"] = "open";
      try {
        await start(...(await open(island.textContent ?? "")), document);
      } catch (error) {
        sayEverywhere(document, (error as Error).message);
      }
    }),
  );
}

function sayEverywhere(document: Document, words: string): void {
  const places = document.querySelectorAll<HTMLElement>("[data-liw-view]:not([data-liw-shown])");
  for (const place of places) {
    place.dataset["liwShown"] = "false";
    say(place, words);
  }
}

if (globalThis.document) void startAll(document);
