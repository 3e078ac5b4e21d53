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
import { type Hearing, Link } from "./link";
import type { Cleanup, Listener, Model } from "./model";
import { ACK_EVERY, type Ack, type Cancel, type Chunk, type Snapshot } from "./protocol.gen";
import { type Action, EMPTY, finished, reduce, type State } from "./store";
import { arrived } from "./travel";

export interface Connection {
  /** Whether a kernel may be listening: there is one, and it was not lost. */
  readonly live: boolean;
  readonly hearing: Hearing;
  state(): State;
  /** The jobs shown beside the first one, in their order. */
  others(): readonly State[];
  get(trait: string): unknown;
  /** Changes a trait here and in the kernel; the views hear of it like of any change. */
  set(trait: string, value: unknown): void;
  /** A request of the view's own; whether the kernel hears it is found out. */
  ask(message: object): void;
  /** Stops every job that still runs. */
  cancel(): void;
  subscribe(listener: Cleanup): Cleanup;
  /** Looks at what the host says of the kernel on a view, until the returned function is called. */
  watch(view: Element): Cleanup;
}

/** Milliseconds between two looks whether the kernel of a running job hears. */
const PULSE = 5_000;

class ModelConnection implements Connection {
  #model: Model;
  #link: Link;
  #pulse: ReturnType<typeof setInterval> | undefined;
  #states: State[] = [EMPTY];
  #acked = new Map<string, number>();
  #asked = false;
  #ran = false;
  #holders = 0;
  #listeners = new Set<Cleanup>();
  #events: [name: string, listener: Listener][];

  constructor(model: Model, traits: readonly string[]) {
    this.#model = model;
    this.#link = new Link(model, () => this.#notify());
    this.#events = [
      ["change:snapshot", () => this.#readSnapshot()],
      ["change:others", () => this.#readOthers()],
      ["msg:custom", (content, buffers) => this.#receive(content, buffers)],
      ...traits.map((trait): [string, Listener] => [`change:${trait}`, () => this.#notify()]),
    ];
    for (const [name, listener] of this.#events) model.on(name, listener);
    this.#readSnapshot();
    this.#readOthers();
    this.#greet();
    if (!this.#ran && this.state() !== EMPTY) this.#link.restLater();
    this.#pulse = setInterval(() => {
      if (this.live && this.#states.some(running)) this.#link.ping();
    }, PULSE);
  }

  get live(): boolean {
    return this.#link.live && this.hearing !== "gone";
  }

  get hearing(): Hearing {
    return this.#link.hearing;
  }

  state(): State {
    return this.#states[0] ?? EMPTY;
  }

  others(): readonly State[] {
    return this.#states.slice(1);
  }

  get(trait: string): unknown {
    return arrived(this.#model.get(trait));
  }

  set(trait: string, value: unknown): void {
    if (Object.is(this.#model.get(trait), value)) return;
    this.#model.set(trait, value);
    this.#link.save();
    this.#notify();
  }

  cancel(): void {
    for (const { job } of this.#states.filter(running)) {
      this.#send({ type: "cancel", job } satisfies Cancel);
    }
    this.#link.ping();
  }

  ask(message: object): void {
    this.#send(message);
    this.#link.ping();
  }

  #send(message: object): void {
    if (this.live) this.#link.send(message);
  }

  watch(view: Element): Cleanup {
    return this.#link.watch(view);
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
    clearInterval(this.#pulse);
    this.#link.close();
  }

  #greet(): void {
    const snapshot = this.#model.get("snapshot") as Partial<Snapshot> | undefined;
    this.#link.greet(snapshot?.subject ? (snapshot.scores ?? null) : undefined);
  }

  #readSnapshot(): void {
    const snapshot = this.#model.get("snapshot");
    if (isObject(snapshot)) BY_SNAPSHOT.set(snapshot, this);
    this.#dispatch(0, { type: "snapshot", snapshot: arrived(snapshot) });
  }

  #readOthers(): void {
    const others = this.get("others");
    if (!Array.isArray(others)) return;
    others.forEach((snapshot: unknown, i) => {
      this.#dispatch(i + 1, { type: "snapshot", snapshot });
    });
  }

  #receive(content: unknown, buffers: unknown): void {
    this.#link.received(content);
    if (!isChunk(content)) return;
    const place = this.#states.findIndex(({ job }) => job === content.job);
    this.#dispatch(Math.max(0, place), {
      type: "chunk",
      chunk: arrived(content),
      buffers: inPlace(content, buffers),
    });
  }

  #dispatch(place: number, action: Action): void {
    const before = this.#states[place] ?? EMPTY;
    const after = reduce(before, action);
    if (after === before) return;
    const states = this.#states.slice();
    states[place] = after;
    this.#states = states;
    if (action.type === "chunk") this.#acknowledge(after);
    const stale = this.#states.some((state) => state.stale);
    if (stale && !this.#asked) this.#greet();
    this.#asked = stale;
    this.#notify();
    const runs = states.some(running);
    if (this.#ran && !runs) this.#link.rest();
    this.#ran = runs;
  }

  #acknowledge({ job, seq, progress }: State): void {
    const acked = this.#acked.get(job) ?? 0;
    if (seq - acked < ACK_EVERY && !(finished(progress) && seq > acked)) return;
    this.#acked.set(job, seq);
    this.#send({ type: "ack", job, seq } satisfies Ack);
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

function running({ progress }: State): boolean {
  return !finished(progress);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function isChunk(content: unknown): content is Chunk {
  return isObject(content) && (content as Partial<Chunk>).type === "chunk";
}
