/**
 * Whether a kernel hears what a view says.
 *
 * - A kernel that runs a cell may hear nothing until the cell ends: a ping without a pong says so.
 * - A kernel that was restarted, or never was here, hears nothing again: hosts mark the views of
 *   such a model, or refuse to send.
 *
 * Nothing here waits for the kernel, and what cannot be sent never throws.
 */

import { isBytes } from "./decode";
import type { Cleanup, Model } from "./model";
import type { Ping, Ready, Rest } from "./protocol.gen";

export type Hearing = "well" | "busy" | "gone";

const PATIENCE = 1_500; // milliseconds until a silent kernel counts as busy
const LEFT_ALONE = 3_000; // milliseconds until a pointer that rests on a view is no reader's
const LATER = 1_000; // milliseconds until a view that has nothing to wait for says so
const GONE = ".jupyter-widgets-disconnected";

export class Link {
  readonly live: boolean;
  hearing: Hearing = "well";
  #model: Model;
  #tell: Cleanup;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #views = new Set<Element>();
  #pointed = Number.NEGATIVE_INFINITY;
  #closed = false;

  /** @param tell Called whenever `hearing` has changed. */
  constructor(model: Model, tell: Cleanup) {
    this.#model = model;
    this.#tell = tell;
    this.live = model.offline !== true;
    model.on("comm_live_update", this.#look);
  }

  /** Says that a view is there. @param sample Bytes, where the host did not lose them. */
  greet(sample: unknown): void {
    const binary = sample === undefined || (isBytes(sample) && typeof sample !== "string");
    if (this.live) this.send({ type: "ready", binary } satisfies Ready);
  }

  send(message: object): void {
    this.#try(() => this.#model.send(message));
  }

  save(): void {
    this.#try(() => this.#model.save_changes());
  }

  /** Asks whether the kernel hears, and everything before this, too. */
  ping(): void {
    if (!this.live) return;
    this.#timer ??= setTimeout(() => this.#set("busy"), PATIENCE);
    this.send({ type: "ping" } satisfies Ping);
  }

  /**
   * Says that what was running is over, once nobody is busy with a view: the kernel then replaces
   * what a notebook without this view shows, and some hosts draw everything again.
   */
  rest(): void {
    if (this.#closed || this.hearing === "gone") return;
    const pointed = Date.now() - this.#pointed < LEFT_ALONE;
    const busy = [...this.#views].some(
      (view) =>
        (pointed && view.matches(":hover")) ||
        view.matches(":focus-within") ||
        view.querySelector("details[open]"),
    );
    if (busy) setTimeout(() => this.rest(), 500);
    else if (this.live) this.send({ type: "rest" } satisfies Rest);
  }

  /** The same of what was over before this view came: the kernel may know another one's word. */
  restLater(): void {
    setTimeout(() => this.rest(), LATER);
  }

  /** Takes note of a message; a pong says that all is well. */
  received(content: unknown): void {
    if ((content as { type?: unknown } | null)?.type !== "pong") return;
    this.#stop();
    this.#set("well");
  }

  /** Looks at the host's mark on a view, now and whenever the host says that something changed. */
  watch(view: Element): Cleanup {
    this.#views.add(view);
    this.#look();
    const point = (): void => {
      this.#pointed = Date.now();
    };
    view.addEventListener("pointermove", point, { passive: true });
    return () => {
      this.#views.delete(view);
      view.removeEventListener("pointermove", point);
    };
  }

  close(): void {
    this.#closed = true;
    this.#stop();
    this.#model.off("comm_live_update", this.#look);
  }

  #look = (): void => {
    // The host marks its views after it told us.
    setTimeout(() => {
      if ([...this.#views].some((view) => view.closest(GONE))) this.#set("gone");
      else if (this.hearing === "gone") this.#set("well"); // a connection that was lost is back
    });
  };

  #try(act: Cleanup): void {
    try {
      act();
    } catch {
      this.#set("gone");
    }
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #set(hearing: Hearing): void {
    if (hearing === this.hearing || (hearing === "busy" && this.hearing === "gone")) return;
    this.hearing = hearing;
    this.#tell();
  }
}
