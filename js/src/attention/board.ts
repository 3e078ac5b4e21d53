/**
 * What a browser of heads knows, and where it asks for more: the only file here that touches the
 * model.
 *
 * - Pictures of all heads come as messages and, now and then, whole as a trait; an exact picture
 *   is never replaced by a sampled one.
 * - Whatever else is looked at is asked for, place by place of the view: a new question for a
 *   place makes the kernel forget the old one. Without a kernel, what the page keeps answers.
 * - Answers are remembered, so that looking back asks nobody.
 */

import { type Bytes, floats, inPlace, isBytes, octets, wholes } from "../decode";
import { type Hearing, Link } from "../link";
import type { Cleanup, Listener, Model, PartModule } from "../model";
import {
  type AskHeads,
  type AttentionOverview,
  type AttentionStack,
  type AttentionSubject,
  type ErrorInfo,
  type HeadsAnswer,
  type HeadsDrawn,
  type HeadsScored,
  type PartSource,
  PROTOCOL,
  type Want,
} from "../protocol.gen";
import { arrived } from "../travel";
import { inflate } from "./inflate";

export interface Text {
  readonly tokens: readonly string[];
  readonly special: Uint8Array;
  /** Where the pieces of each kind begin. */
  readonly pieces: Readonly<Record<string, Uint32Array>>;
  readonly labels: Readonly<Record<string, readonly string[]>>;
}

export interface Stack extends Omit<AttentionStack, "queries" | "keys"> {
  readonly index: number;
  readonly queries: Text;
  readonly keys: Text;
}

/** Pictures of a layer's heads: (head, row, col) bytes. */
export interface Picture {
  readonly rows: number;
  readonly cols: number;
  readonly stage: number;
  readonly codes: Uint8Array;
}

export interface Overview {
  readonly pictures: readonly (Picture | null)[];
  readonly names: readonly string[];
  /** (score, layer, head). */
  readonly scores: Float32Array;
  readonly status: string;
}

export interface Answer {
  readonly error: ErrorInfo | null;
  readonly said: Readonly<Record<string, string>>;
  readonly buffers: readonly Bytes[];
}

/** One head, or heads taken together: head −1, as `how` says; layer −1 for all layers. */
export interface Ref {
  readonly stack: number;
  readonly layer: number;
  readonly head: number;
  readonly how: string;
}

/** Answers that are remembered, and their bytes: those that were looked at last. */
const REMEMBERED = 600;
const BYTES = 16 * 2 ** 20;
const TRAITS = [
  "subject",
  "failure",
  "head",
  "how",
  "stack",
  "beside",
  "mode",
  "selected",
  "key",
  "selected_heads",
  "sort",
  "least",
  "scale",
  "pieces",
  "words",
];
let boards = 0;

type Incoming = HeadsAnswer | HeadsDrawn | HeadsScored | PartSource;
type Hear = (want: number, answer: Answer) => void;
interface Awaited {
  readonly found: (part: PartModule) => void;
  readonly failed: (error: unknown) => void;
}

export class Board {
  readonly #model: Model;
  readonly #link: Link;
  readonly #view = `${Math.random().toString(36).slice(2, 8)}-${boards++}`;
  #stacks: readonly Stack[] = [];
  #given: unknown = null;
  #overviews: Overview[] = [];
  #next = 1;
  #parts = new Map<string, Awaited>();
  #asked = new Map<number, { slot: string; keys: string[]; hear: Hear }>();
  #known = new Map<string, Answer>();
  #bytes = 0;
  #ran = false;
  #listeners = new Set<Cleanup>();
  #events: [name: string, listener: Listener][];

  constructor(model: Model, signal?: AbortSignal) {
    this.#model = model;
    const tell = (): void => this.#notify();
    this.#link = new Link(model, tell);
    this.#events = [
      ["change:overviews", () => this.#readOverviews()],
      ["msg:custom", (content, buffers) => this.#receive(content, buffers)],
      ...TRAITS.map((trait): [string, Listener] => [`change:${trait}`, tell]),
    ];
    for (const [name, listener] of this.#events) model.on(name, listener);
    signal?.addEventListener("abort", () => this.close(), { once: true });
    this.#readOverviews();
    if (!this.#ran && this.#overviews.length > 0) this.#link.restLater();
    this.#link.greet(this.subject()?.texts[0]?.special ?? (this.subject() ? null : undefined));
  }

  /** Whether a kernel may answer. */
  get live(): boolean {
    return this.#link.live;
  }

  get hearing(): Hearing {
    return this.#link.hearing;
  }

  watch(view: Element): Cleanup {
    return this.#link.watch(view);
  }

  close(): void {
    for (const [name, listener] of this.#events) this.#model.off(name, listener);
    this.#events = [];
    this.#listeners.clear();
    this.#known.clear();
    this.#bytes = 0;
    this.#link.close();
  }

  get(trait: string): unknown {
    return arrived(this.#model.get(trait));
  }

  set(values: Readonly<Record<string, unknown>>): void {
    for (const [trait, value] of Object.entries(values)) this.#model.set(trait, value);
    this.#notify();
    // What the views now ask for goes first: the kernel need not hear of the trait to answer.
    setTimeout(() => this.#link.save());
  }

  subscribe(listener: Cleanup): Cleanup {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  subject(): AttentionSubject | null {
    const subject = this.get("subject") as AttentionSubject | null;
    return subject?.protocol === PROTOCOL ? subject : null;
  }

  stacks(): readonly Stack[] {
    const subject = this.subject();
    if (subject !== this.#given) {
      this.#given = subject;
      const texts = subject?.texts.map(
        ({ tokens, special, pieces, labels }): Text => ({
          tokens,
          special: octets(special),
          pieces: Object.fromEntries(
            Object.entries(pieces).map(([name, bytes]) => [name, wholes(bytes)]),
          ),
          labels,
        }),
      );
      this.#stacks =
        subject?.stacks.map((stack, index) => ({
          ...stack,
          index,
          queries: texts?.[stack.queries] as Text,
          keys: texts?.[stack.keys] as Text,
        })) ?? [];
    }
    return this.#stacks;
  }

  overview(stack: number): Overview | null {
    return this.#overviews[stack] ?? null;
  }

  /** What is known of a want, if anything is; what is on screen is asked for, and stays known. */
  known(want: Want): Answer | undefined {
    const key = keyOf(want);
    const answer = this.#known.get(key);
    if (answer !== undefined) {
      this.#known.delete(key);
      this.#known.set(key, answer);
    }
    return answer;
  }

  /** Ask for what is not known; answers come one by one. The place's last question is forgotten. */
  ask(slot: string, wants: readonly Want[], hear: Hear): void {
    let stale = false;
    for (const [id, asked] of this.#asked) {
      if (asked.slot === slot) stale = this.#asked.delete(id);
    }
    if (wants.length === 0 && !stale) return;
    const id = this.#next++;
    if (wants.length > 0) this.#asked.set(id, { slot, keys: wants.map(keyOf), hear });
    const ask: AskHeads = { type: "ask", view: this.#view, slot, id, wants: [...wants] };
    this.#link.send(ask);
    this.#link.ping();
  }

  /** A part of the view, from the page or from the kernel; both hand it over as source text. */
  part(name: string): Promise<PartModule> {
    if (this.#model.part) return this.#model.part(name) as Promise<PartModule>;
    return new Promise((found, failed) => {
      this.#parts.set(name, { found, failed });
      this.#link.send({ type: "part", name });
      this.#link.ping();
    });
  }

  async #load(name: string, code: Bytes | undefined): Promise<void> {
    const part = this.#parts.get(name);
    if (code === undefined || part === undefined) return;
    this.#parts.delete(name);
    const url = URL.createObjectURL(new Blob([code as BlobPart], { type: "text/javascript" }));
    try {
      part.found(((await import(/* @vite-ignore */ url)) as { default: PartModule }).default);
    } catch (error) {
      part.failed(error);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  #heard(id: number, want: number, answer: Answer): void {
    const asked = this.#asked.get(id);
    const key = asked?.keys[want];
    if (asked === undefined || key === undefined) return;
    if (answer.error === null && answer.buffers.length > 0) this.#remember(key, answer);
    asked.hear(want, answer);
  }

  #remember(key: string, answer: Answer): void {
    this.#bytes += sizeOf(answer) - sizeOf(this.#known.get(key));
    this.#known.delete(key);
    this.#known.set(key, answer);
    for (const [oldest, { buffers }] of this.#known) {
      if (this.#known.size <= REMEMBERED && this.#bytes <= BYTES) break;
      if (oldest === key) break;
      this.#known.delete(oldest);
      this.#bytes -= sizeOf({ buffers });
    }
  }

  #receive(content: unknown, buffers: unknown): void {
    const message = arrived(content) as Partial<Incoming> | null;
    this.#link.received(content);
    const list = inPlace(content, buffers);
    if (message?.type === "drawn") void this.#draw(message as HeadsDrawn, list[0]);
    else if (message?.type === "part") void this.#load((message as PartSource).name, list[0]);
    else if (message?.type === "scored") {
      const { stack } = message as HeadsScored;
      this.#update(stack, { scores: floats(list[0]) });
    } else if (message?.type === "answer") {
      const { view, id, want, error, said } = message as HeadsAnswer;
      if (view === this.#view) this.#heard(id, want, { error, said, buffers: list });
    }
  }

  async #draw(message: HeadsDrawn, bytes: Bytes | undefined): Promise<void> {
    if (bytes === undefined) return;
    const { stack, layer, layers, rows, cols, stage } = message;
    const codes = await inflate(bytes);
    this.#place(stack, layer, layers, { rows, cols, stage }, codes);
  }

  #place(
    stack: number,
    layer: number,
    layers: number,
    size: Omit<Picture, "codes">,
    codes: Uint8Array,
  ): void {
    const pictures = [...(this.#overviews[stack]?.pictures ?? [])];
    const each = codes.length / layers;
    for (let i = 0; i < layers; i++) {
      if ((pictures[layer + i]?.stage ?? 0) > size.stage) continue;
      pictures[layer + i] = { ...size, codes: codes.subarray(i * each, (i + 1) * each) };
    }
    this.#update(stack, { pictures });
  }

  #readOverviews(): void {
    const given = this.#model.get("overviews");
    if (!Array.isArray(given)) return;
    given.forEach((overview: AttentionOverview, stack) => {
      const stages = octets(overview.stages);
      const { names, status } = overview;
      const pictures = this.#overviews[stack]?.pictures ?? Array(stages.length).fill(null);
      this.#update(stack, { pictures, names, status, scores: floats(overview.scores) });
      if (isBytes(overview.pictures)) void this.#restore(stack, overview, stages);
    });
    const runs = this.#overviews.some(({ status }) => status === "running" || status === "queued");
    if (this.#ran && !runs) this.#link.rest();
    this.#ran = runs;
  }

  async #restore(stack: number, overview: AttentionOverview, stages: Uint8Array): Promise<void> {
    const codes = await inflate(octets(overview.pictures));
    const each = codes.length / stages.length;
    const { rows, cols } = overview;
    stages.forEach((stage, layer) => {
      const part = codes.subarray(layer * each, (layer + 1) * each);
      // What came as a message of the same stage is as good, and may be finer.
      const held = this.#overviews[stack]?.pictures[layer]?.stage ?? 0;
      if (stage > held) this.#place(stack, layer, 1, { rows, cols, stage }, part);
    });
  }

  #update(stack: number, change: Partial<Overview>): void {
    const held = this.#overviews[stack] ?? {
      pictures: [],
      names: [],
      scores: new Float32Array(),
      status: "queued",
    };
    this.#overviews = Object.assign([...this.#overviews], { [stack]: { ...held, ...change } });
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

export function wantOf(what: string, ref: Ref, more: Partial<Want> = {}): Want {
  return { what, ...ref, rows: [], cols: [], a: 0, b: 0, ...more };
}

function sizeOf(answer: Pick<Answer, "buffers"> | undefined): number {
  return answer?.buffers.reduce((sum, { byteLength }) => sum + byteLength, 0) ?? 0;
}

/** Pieces may begin and end alike and differ between: every edge counts. */
function keyOf(want: Want): string {
  const { what, stack, layer, head, how, rows, cols, a, b } = want;
  const edges = [rows, cols].map((all) => {
    let hash = 0;
    for (const edge of all) hash = (Math.imul(hash, 31) + edge) | 0;
    return `${all[0]}:${all.at(-1)}:${all.length}:${hash}`;
  });
  return [what, stack, layer, head, how, ...edges, a, b].join(",");
}
