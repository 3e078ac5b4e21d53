import { describe, expect, it, vi } from "vitest";
import { connect } from "../src/connect";
import { HostModel } from "../src/host";
import { ACK_EVERY } from "../src/protocol.gen";
import { bytes, chunk, KernelModel, progress, SCORES, snapshot, traits } from "./samples";

const TRAITS = ["selected"];
const READY = { type: "ready", binary: true };

function stream(model: KernelModel, from: number, to: number): void {
  for (let seq = from; seq <= to; seq++) model.emit("msg:custom", chunk(seq), [bytes(SCORES)]);
}

function rests({ sent }: KernelModel): number {
  return sent.filter((message) => (message as { type: string }).type === "rest").length;
}

describe("a connection", () => {
  it("says ready at once and waits for nothing", () => {
    const model = new KernelModel({ snapshot: {}, selected: null });
    const { connection } = connect(model, TRAITS);
    expect(model.sent).toEqual([READY]);
    expect(connection.state().subject).toBeNull();
    model.set("snapshot", snapshot());
    expect(connection.state().subject).not.toBeNull();
  });

  it("acknowledges every few chunks, and the last", () => {
    const model = new KernelModel(traits());
    connect(model, TRAITS);
    stream(model, 1, 2 * ACK_EVERY + 3);
    const end = { state: progress({ status: "done" }) };
    model.emit("msg:custom", chunk(2 * ACK_EVERY + 4, end), [bytes(SCORES)]);
    const acked = [ACK_EVERY, 2 * ACK_EVERY, 2 * ACK_EVERY + 4];
    expect(model.sent.filter((m) => (m as { type: string }).type === "ack")).toEqual(
      acked.map((seq) => ({ type: "ack", job: "job", seq })),
    );
  });

  it("asks once for a snapshot when there is a hole, and again at the next", () => {
    const model = new KernelModel(traits());
    connect(model, TRAITS);
    stream(model, 3, 5);
    expect(model.sent).toEqual([READY, READY]);
    model.set("snapshot", snapshot({ seq: 5 }));
    stream(model, 7, 7);
    expect(model.sent).toHaveLength(3);
  });

  it("cancels the job it shows", () => {
    const model = new KernelModel(traits());
    connect(model, TRAITS).connection.cancel();
    expect(model.sent.at(-1)).toEqual({ type: "cancel", job: "job" });
  });

  it("sets traits once and hears of theirs", () => {
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    let heard = 0;
    connection.subscribe(() => heard++);
    connection.set("selected", 2);
    connection.set("selected", 2);
    expect(model.saved).toEqual([{ selected: 2 }]);
    const before = heard;
    model.set("selected", null);
    expect(heard).toBe(before + 1);
    expect(connection.get("selected")).toBeNull();
  });

  it("ignores messages that are not chunks", () => {
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    const before = connection.state();
    for (const message of [null, undefined, "chunk", {}, { type: "other" }]) {
      model.emit("msg:custom", message, undefined);
    }
    expect(connection.state()).toBe(before);
  });

  it("sends nothing where there is no kernel", () => {
    const model = new HostModel(traits());
    const { connection } = connect(model, TRAITS);
    expect(connection.live).toBe(false);
    connection.cancel();
  });
});

describe("the views of one model", () => {
  it("share a connection, whatever proxy each is given", () => {
    const model = new KernelModel(traits());
    const first = connect(model.proxy(), TRAITS).connection;
    expect(connect(model.proxy(), TRAITS).connection).toBe(first);
    model.set("snapshot", snapshot({ seq: 1 }));
    expect(connect(model.proxy(), TRAITS).connection).toBe(first);
    expect(model.sent).toHaveLength(1);
  });

  it("of two models share nothing", () => {
    const first = connect(new KernelModel(traits()), TRAITS).connection;
    expect(connect(new KernelModel(traits()), TRAITS).connection).not.toBe(first);
  });

  it("keep it open until the last lets go, by signal or by hand", () => {
    const model = new KernelModel(traits());
    const controller = new AbortController();
    connect(model.proxy(), TRAITS, controller.signal);
    const { release } = connect(model.proxy(), TRAITS);
    release();
    release();
    expect(model.listening).toBeGreaterThan(0);
    controller.abort();
    expect(model.listening).toBe(0);
    const { connection } = connect(model.proxy(), TRAITS);
    expect(connection.state().subject).not.toBeNull();
    expect(model.listening).toBeGreaterThan(0);
  });
});

describe("the kernel's hearing", () => {
  const BUSY_AFTER = 1_600;

  it("is well where pings are answered, busy where they are not, and well again", () => {
    vi.useFakeTimers();
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    const said: string[] = [];
    connection.subscribe(() => said.push(connection.hearing));
    connection.cancel();
    vi.advanceTimersByTime(BUSY_AFTER);
    expect(connection.hearing).toBe("well");
    model.idle = false;
    connection.cancel();
    vi.advanceTimersByTime(BUSY_AFTER);
    expect(said).toEqual(["busy"]);
    model.emit("msg:custom", { type: "pong" }, []);
    expect(said).toEqual(["busy", "well"]);
    vi.useRealTimers();
  });

  it("is asked for now and then while a job runs, and not afterwards", () => {
    vi.useFakeTimers();
    const model = new KernelModel(traits());
    const { release } = connect(model, TRAITS);
    vi.advanceTimersByTime(11_000);
    expect(model.pings).toBe(2);
    model.set("snapshot", snapshot({ state: progress({ status: "done" }) }));
    vi.advanceTimersByTime(11_000);
    expect(model.pings).toBe(2);
    release();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it("is gone where the host says so, or refuses to send; nothing throws", async () => {
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    const view = document.createElement("div");
    connection.watch(view);
    view.className = "jupyter-widgets-disconnected";
    model.emit("comm_live_update");
    await vi.waitFor(() => expect(connection.hearing).toBe("gone"));
    expect(connection.live).toBe(false);
    view.className = "";
    model.emit("comm_live_update");
    await vi.waitFor(() => expect(connection.live).toBe(true));

    const other = new KernelModel(traits());
    const second = connect(other, TRAITS).connection;
    other.send = () => {
      throw new Error("no such comm");
    };
    second.cancel();
    expect(second.hearing).toBe("gone");
  });

  it("is told when the host lost the bytes of a snapshot, and reads text instead", () => {
    const lost = { ...snapshot(), scores: undefined };
    const model = new KernelModel(traits({ snapshot: lost }));
    const { connection } = connect(model, TRAITS);
    expect(model.sent).toEqual([{ type: "ready", binary: false }]);
    const text = btoa(String.fromCharCode(...new Uint8Array(bytes(SCORES).buffer)));
    model.emit("msg:custom", { ...chunk(1), buffers: [text, "", ""] }, []);
    expect(connection.state().rows[0]?.scores).toEqual(Float32Array.from(SCORES));
  });

  it("hears of a job that was over before the view came", () => {
    vi.useFakeTimers();
    const model = new KernelModel(traits({ snapshot: snapshot() }));
    connect(model, TRAITS);
    const over = new KernelModel(
      traits({ snapshot: snapshot({ state: progress({ status: "done" }) }) }),
    );
    connect(over, TRAITS);
    vi.advanceTimersByTime(5_000);
    expect([rests(model), rests(over)]).toEqual([0, 1]);
    vi.useRealTimers();
  });

  it("takes a pointer that rests on the view for nobody", () => {
    vi.useFakeTimers();
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    const view = document.body.appendChild(document.createElement("div"));
    vi.spyOn(view, "matches").mockImplementation((selector) => selector === ":hover");
    connection.watch(view);
    view.dispatchEvent(new Event("pointermove"));
    model.set("snapshot", snapshot({ seq: 1, state: progress({ status: "done" }) }));
    vi.advanceTimersByTime(2_000);
    expect(rests(model)).toBe(0);
    vi.advanceTimersByTime(2_000);
    expect(rests(model)).toBe(1);
    vi.useRealTimers();
  });

  it("hears once that a job is over, when nobody is busy with the view", () => {
    vi.useFakeTimers();
    const model = new KernelModel(traits());
    const { connection } = connect(model, TRAITS);
    const view = document.body.appendChild(document.createElement("div"));
    const fold = view.appendChild(document.createElement("details"));
    fold.setAttribute("open", "");
    connection.watch(view);
    model.set("snapshot", snapshot({ seq: 1, state: progress({ status: "done" }) }));
    vi.advanceTimersByTime(5_000);
    expect(rests(model)).toBe(0);
    fold.removeAttribute("open");
    vi.advanceTimersByTime(1_000);
    expect(rests(model)).toBe(1);
    model.set("snapshot", snapshot({ seq: 2, state: progress({ status: "done" }) }));
    vi.advanceTimersByTime(5_000);
    expect(rests(model)).toBe(1);
    vi.useRealTimers();
  });
});
