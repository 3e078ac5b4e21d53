/**
 * A minimal host of widgets where there is no Jupyter: exported pages and tests.
 *
 * It implements what widgets use of the front-end module interface: a model with
 * get/set/on/off/save_changes/send, and `getModel`/`getWidget`, so that views on one page can
 * share a model or show each other. Nothing is sent anywhere. A page's JSON island holds the
 * bundles (each once), the models and where they are shown.
 */

import type { Cleanup, KernelModule, Listener, Model, WidgetModule } from "./model";

export const ISLAND = "liw-page";

/** Bytes inside a model's state: base64, with the path of keys that leads there. */
export interface PageBuffer {
  readonly path: readonly (string | number)[];
  readonly data: string;
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
  readonly bundles: Readonly<Record<string, string>>;
  readonly models: readonly PageModel[];
}

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

  on(name: string, listener: Listener): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
  }

  off(name: string, listener?: Listener): void {
    if (listener === undefined) this.#listeners.delete(name);
    else this.#listeners.get(name)?.delete(listener);
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

export type Load = (bundle: string) => Promise<WidgetModule & Partial<KernelModule>>;

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
export function restore({ state, buffers }: PageModel): Record<string, unknown> {
  for (const { path, data } of buffers) {
    let place: unknown = state;
    for (const key of path.slice(0, -1)) place = (place as Record<string | number, unknown>)[key];
    const last = path.at(-1);
    if (last !== undefined) (place as Record<string | number, unknown>)[last] = bytes(data);
  }
  return state;
}

function bytes(base64: string): DataView {
  const binary = atob(base64);
  const view = new DataView(new ArrayBuffer(binary.length));
  for (let i = 0; i < binary.length; i++) view.setUint8(i, binary.charCodeAt(i));
  return view;
}

/** Loads each bundle once, from its text. */
function loader(bundles: Page["bundles"]): Load {
  const loaded = new Map<string, ReturnType<Load>>();
  const load: Load = async (name) => {
    const url = URL.createObjectURL(new Blob([bundles[name] ?? ""], { type: "text/javascript" }));
    try {
      return ((await import(url)) as { default: WidgetModule }).default;
    } finally {
      URL.revokeObjectURL(url);
    }
  };
  return (name) => {
    const module = loaded.get(name) ?? load(name);
    loaded.set(name, module);
    return module;
  };
}

/** Show every widget of a page in the element that carries its id in `data-liw-view`. */
export async function start(page: Page, document: Document, load = loader(page.bundles)) {
  const host = new Host(load);
  for (const model of page.models) host.add(model.id, model.bundle, restore(model), model.kernel);
  const places = [...document.querySelectorAll<HTMLElement>("[data-liw-view]")];
  await Promise.all(
    places.map(async (place) => {
      try {
        const widget = await host.getWidget(place.dataset["liwView"] ?? "");
        place.replaceChildren();
        await widget.render({ el: place });
      } catch (error) {
        place.textContent = `This view could not be shown: ${String(error)}`;
      }
    }),
  );
  return host;
}

const island = globalThis.document?.getElementById(ISLAND);
if (island) void start(JSON.parse(island.textContent ?? "{}") as Page, document);
