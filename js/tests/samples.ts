/** Snapshots, chunks and models for the tests; "The capital of France is" unless told. */

import { render } from "preact";
import { act } from "preact/test-utils";
import type { Model, RenderProps } from "../src/model";
import type { Chunk, JobState, Snapshot, Subject, TokenInfo } from "../src/protocol.gen";
import { PROTOCOL } from "../src/protocol.gen";

export const PARIS = ["The", " capital", " of", " France", " is"];
export const SCORES = [1.7, 3.7, 1.2, 6.9, -3.4];

export function bytes(values: readonly number[]): DataView {
  return new DataView(Float32Array.from(values).buffer);
}

export function token(text: string, position = 0, more: Partial<TokenInfo> = {}): TokenInfo {
  return {
    text,
    start: 0,
    end: text.length,
    special: false,
    role: null,
    position,
    size: 1,
    ...more,
  };
}

export function subject(more: Partial<Subject> = {}): Subject {
  return {
    prompt: PARIS.join(""),
    inputs: PARIS.map((text, i) => {
      const start = PARIS.slice(0, i).join("").length;
      return token(text, i, { start, end: start + text.length });
    }),
    outputs: [token(" Paris")],
    target: "“ Paris”",
    unit: "log_prob",
    method: "shapley",
    method_title: "Shapley values",
    caution: "",
    ...more,
  };
}

export function progress(more: Partial<JobState> = {}): JobState {
  return {
    status: "running",
    preview: false,
    verdict: "still moving",
    done: 1,
    total: 4,
    evaluations: 1,
    seconds: 1,
    sentences: [""],
    facts: [],
    error: null,
    ...more,
  };
}

export function snapshot(more: Partial<Snapshot> = {}): Snapshot {
  return {
    protocol: PROTOCOL,
    job: "job",
    seq: 0,
    subject: subject(),
    state: progress(),
    scores: bytes(SCORES),
    standard_error: bytes([]),
    totals: bytes([-16, -0.3, 0.004]),
    ...more,
  };
}

export function chunk(seq: number, more: Partial<Chunk> = {}): Chunk {
  return { type: "chunk", job: "job", seq, row: 0, rows: 1, state: progress(), ...more };
}

/** A model as a notebook's: it records what is sent and lets tests play the kernel. */
export class KernelModel implements Model {
  readonly state: Record<string, unknown>;
  /** What was sent but pings. */
  readonly sent: unknown[] = [];
  pings = 0;
  /** Whether it runs no cell: pings are answered. */
  idle = true;
  readonly saved: Record<string, unknown>[] = [];
  listeners = new Map<string, Set<(...args: unknown[]) => void>>();
  #changed: Record<string, unknown> = {};

  constructor(state: Record<string, unknown>) {
    this.state = state;
  }

  get(name: string): unknown {
    return this.state[name];
  }

  set(name: string, value: unknown): void {
    this.state[name] = value;
    this.#changed[name] = value;
    this.emit(`change:${name}`);
  }

  on(name: string, listener: (...args: unknown[]) => void): void {
    this.listeners.set(name, (this.listeners.get(name) ?? new Set()).add(listener));
  }

  off(name: string, listener: (...args: unknown[]) => void): void {
    this.listeners.get(name)?.delete(listener);
  }

  save_changes(): void {
    this.saved.push(this.#changed);
    this.#changed = {};
  }

  send(content: unknown): void {
    if ((content as { type?: string }).type !== "ping") this.sent.push(content);
    else {
      this.pings += 1;
      if (this.idle) this.emit("msg:custom", { type: "pong" }, []);
    }
  }

  emit(name: string, ...args: unknown[]): void {
    for (const listener of [...(this.listeners.get(name) ?? [])]) listener(...args);
  }

  /** Another proxy of the same model, as Jupyter hands out for every call. */
  proxy(): Model {
    return {
      get: this.get.bind(this),
      set: this.set.bind(this),
      on: this.on.bind(this),
      off: this.off.bind(this),
      save_changes: this.save_changes.bind(this),
      send: this.send.bind(this),
    };
  }

  get listening(): number {
    return [...this.listeners.values()].reduce((sum, { size }) => sum + size, 0);
  }
}

export function traits(more: Record<string, unknown> = {}): Record<string, unknown> {
  return { snapshot: snapshot(), selected: null, output: 0, color_limit: null, ...more };
}

/** Draw a widget into the document and wait for its effects. */
export async function draw(
  widget: { render(props: RenderProps): unknown },
  model: Model,
): Promise<HTMLElement> {
  const el = document.createElement("div");
  document.body.append(el);
  await act(() => {
    widget.render({ model, el });
  });
  return el;
}

export async function wipe(): Promise<void> {
  await act(() => {
    for (const el of document.body.children) render(null, el);
  });
  document.body.replaceChildren();
}
