/**
 * The only file that touches the model.
 *
 * One connection serves all views of a model: it is made in `initialize` (or in `render`,
 * where a host skips `initialize`), and closed when its last holder lets go. Nothing here
 * waits for the kernel.
 *
 * Hosts hand a different proxy of the model to every call, so a model is recognised by the
 * object that is its snapshot at that moment.
 */

import { inPlace } from "./decode";
import type { Cleanup, Listener, Model } from "./model";
import { ACK_EVERY, type Ack, type Cancel, type Chunk, type Ready } from "./protocol.gen";
import { type Action, EMPTY, finished, reduce, type State } from "./store";

export interface Connection {
  /** Whether a kernel may be listening. */
  readonly live: boolean;
  state(): State;
  get(trait: string): unknown;
  /** Changes a trait here and in the kernel; the views hear of it like of any change. */
  set(trait: string, value: unknown): void;
  cancel(): void;
  subscribe(listener: Cleanup): Cleanup;
}

class ModelConnection implements Connection {
  readonly live: boolean;
  #model: Model;
  #state: State = EMPTY;
  #acked = 0;
  #asked = false;
  #holders = 0;
  #listeners = new Set<Cleanup>();
  #events: [name: string, listener: Listener][];

  constructor(model: Model, traits: readonly string[]) {
    this.#model = model;
    this.live = model.offline !== true;
    this.#events = [
      ["change:snapshot", () => this.#readSnapshot()],
      ["msg:custom", (content, buffers) => this.#receive(content, buffers)],
      ...traits.map((trait): [string, Listener] => [`change:${trait}`, () => this.#notify()]),
    ];
    for (const [name, listener] of this.#events) model.on(name, listener);
    this.#readSnapshot();
    this.#send({ type: "ready" });
  }

  state(): State {
    return this.#state;
  }

  get(trait: string): unknown {
    return this.#model.get(trait);
  }

  set(trait: string, value: unknown): void {
    if (Object.is(this.#model.get(trait), value)) return;
    this.#model.set(trait, value);
    this.#model.save_changes();
    this.#notify();
  }

  cancel(): void {
    this.#send({ type: "cancel", job: this.#state.job });
  }

  subscribe(listener: Cleanup): Cleanup {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Keeps the connection open until the returned function is called. */
  hold(): Cleanup {
    let held = true;
    this.#holders += 1;
    return () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      if (this.#holders === 0) this.#close();
    };
  }

  get closed(): boolean {
    return this.#events.length === 0;
  }

  #close(): void {
    for (const [name, listener] of this.#events) this.#model.off(name, listener);
    this.#events = [];
    this.#listeners.clear();
  }

  #readSnapshot(): void {
    const snapshot = this.#model.get("snapshot");
    if (isObject(snapshot)) BY_SNAPSHOT.set(snapshot, this);
    this.#dispatch({ type: "snapshot", snapshot });
  }

  #receive(content: unknown, buffers: unknown): void {
    if (!isChunk(content)) return;
    const list = Array.isArray(buffers) ? (buffers as unknown[]) : [];
    this.#dispatch({ type: "chunk", chunk: content, buffers: inPlace(list) });
  }

  #dispatch(action: Action): void {
    const before = this.#state;
    this.#state = reduce(before, action);
    if (this.#state === before) return;
    if (this.#state.job !== before.job) this.#acked = 0;
    if (action.type === "chunk") this.#acknowledge();
    if (this.#state.stale && !this.#asked) this.#send({ type: "ready" });
    this.#asked = this.#state.stale;
    this.#notify();
  }

  #acknowledge(): void {
    const { job, seq, progress } = this.#state;
    if (seq - this.#acked < ACK_EVERY && !(finished(progress) && seq > this.#acked)) return;
    this.#acked = seq;
    this.#send({ type: "ack", job, seq });
  }

  #send(message: Ready | Ack | Cancel): void {
    if (this.live) this.#model.send(message);
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

const BY_MODEL = new WeakMap<Model, ModelConnection>();
const BY_SNAPSHOT = new WeakMap<object, ModelConnection>();

/**
 * The connection of a model, shared by all its views.
 *
 * @param model What the host handed to `initialize` or `render`.
 * @param traits Two-way traits whose changes the views want to hear of.
 * @param signal Aborted when the caller no longer needs the connection.
 * @returns The connection, and a function that lets go of it (for hosts without signals).
 */
export function connect(
  model: Model,
  traits: readonly string[],
  signal?: AbortSignal,
): { connection: Connection; release: Cleanup } {
  const snapshot = model.get("snapshot");
  const known = BY_MODEL.get(model) ?? (isObject(snapshot) && BY_SNAPSHOT.get(snapshot)) ?? null;
  const connection = known && !known.closed ? known : new ModelConnection(model, traits);
  BY_MODEL.set(model, connection);
  const release = connection.hold();
  signal?.addEventListener("abort", release, { once: true });
  return { connection, release };
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isChunk(content: unknown): content is Chunk {
  return isObject(content) && (content as Partial<Chunk>).type === "chunk";
}
