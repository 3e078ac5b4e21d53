import { deflateSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { answersFrom } from "../src/attention/answers";
import { axisOf, edgesOf, levelOf, shown, tilesOf, windowSize } from "../src/attention/axes";
import { type Answer, Board, type Text, wantOf } from "../src/attention/board";
import { codeOf, difference, painted, ramp, strength, WEIGHTS } from "../src/attention/ramp";
import { profile, ranked, scoreOf } from "../src/attention/ranking";
import { browserTraits, overview, STACK } from "./heads";
import { bytes, KernelModel } from "./samples";

const HEAD = { stack: 0, layer: 1, head: 2, how: "" };

function deflated(codes: readonly number[]): DataView {
  const packed = deflateSync(Uint8Array.from(codes));
  return new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
}

async function until(true_: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !true_(); tries++) await new Promise((r) => setTimeout(r, 2));
  expect(true_()).toBe(true);
}

describe("weights as bytes", () => {
  it("come back within the stated error", () => {
    for (const weight of [0, 1e-6, 1e-4, 0.001, 0.03, 0.5, 0.999, 1]) {
      const error = Math.abs((WEIGHTS[codeOf(weight)] ?? 0) - weight);
      expect(error).toBeLessThanOrEqual((2.2 / 255) * weight ** 0.75 + 1e-8);
    }
    expect(codeOf(-1)).toBe(0);
    expect(codeOf(7)).toBe(255);
  });

  it("are stronger for larger weights on every scale, and clear below the least", () => {
    for (const scale of ["root", "linear", "log"] as const) {
      const all = Array.from(WEIGHTS, (weight) => strength(weight, scale));
      expect(all).toEqual([...all].sort((a, b) => a - b));
      expect([all[0], all[255]]).toEqual([0, 1]);
      const lut = ramp("light", scale, 0.1);
      expect(lut[4 * codeOf(0.09) + 3]).toBe(0);
      expect(lut[4 * codeOf(0.2) + 3]).toBeGreaterThan(0);
      const pixels = painted(Uint8Array.of(0, 255), lut);
      expect([pixels[3], pixels[7]]).toEqual([0, 255]);
    }
  });

  it("differ in two hues, and not where they are equal", () => {
    const [a, b] = [Uint8Array.of(255, 0, 90), Uint8Array.of(0, 255, 90)];
    const pixels = difference(a, b, "light", "root", 0);
    expect([pixels[3], pixels[7], pixels[11]]).toEqual([255, 255, 0]);
    expect((pixels[0] ?? 0) > (pixels[2] ?? 0)).toBe(true); // orange
    expect((pixels[4] ?? 0) < (pixels[6] ?? 0)).toBe(true); // blue
  });
});

describe("sides of a matrix", () => {
  const text: Text = {
    tokens: ["A", " b", ".", " C", "\n"],
    special: new Uint8Array(5),
    pieces: { sentence: Uint32Array.of(0, 3) },
    labels: { sentence: ["A b.", "C"] },
  };

  it("are tokens, pieces or windows", () => {
    const tokens = axisOf(text, "token");
    expect([...tokens.edges]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([1, 4].map(tokens.name)).toEqual(["b", "↵"]);
    const sentences = axisOf(text, "sentence");
    expect([...sentences.edges]).toEqual([0, 3, 5]);
    expect([0, 1].map(sentences.name)).toEqual(["A b.", "C"]);
    expect([0, 2, 3, 4].map(sentences.pieceOf)).toEqual([0, 0, 1, 1]);
    const windows = axisOf(text, "window");
    expect([...windows.edges]).toEqual([0, 2, 4, 5]);
    expect(windows.name(0)).toBe("A … b");
    expect(windowSize(2048)).toBe(32);
    expect(shown("x".repeat(40))).toHaveLength(22);
  });

  it("are covered by tiles of the level that fits the screen, empty ones left out", () => {
    const seen = { left: 0, top: 0, width: 2048, height: 2048 };
    expect(levelOf(seen, 560, 560)).toBe(2);
    expect(levelOf({ ...seen, width: 100, height: 100 }, 560, 560)).toBe(0);
    expect(tilesOf(seen, 2, false)).toHaveLength(1);
    expect(tilesOf(seen, 1, false)).toHaveLength(4);
    const causal = tilesOf(seen, 1, true);
    expect(causal.map(({ row, col }) => [row, col]).sort()).toEqual([
      [0, 0],
      [1, 0],
      [1, 1],
    ]);
    const part = tilesOf({ left: 300, top: 900, width: 10, height: 10 }, 0, true);
    expect(part).toEqual([{ level: 0, row: 1, col: 0 }]);
  });

  it("have tiles whose cells end with the text", () => {
    const long = axisOf({ ...text, tokens: Array(1113).fill("x") }, "token");
    expect(edgesOf(long, 0, 1)).toHaveLength(513);
    expect(edgesOf(long, 0, 1).at(-1)).toBe(1024);
    expect(edgesOf(long, 1, 1)).toHaveLength(46);
    expect(edgesOf(long, 1, 1).slice(-2)).toEqual([1112, 1113]);
  });
});

describe("ranking", () => {
  const model = new KernelModel(browserTraits());
  const board = new Board(model);
  const [stack] = board.stacks();
  if (!stack) throw new Error("no stack");
  const drawn = board.overview(0);

  it("keeps places, or puts the highest first and leaves out the low", () => {
    expect(ranked(drawn, stack, "", 0)).toHaveLength(6);
    const best = ranked(drawn, stack, "induction", 0);
    expect(best[0]).toEqual({ layer: 1, head: 2 });
    expect(ranked(drawn, stack, "induction", 0.45)).toHaveLength(2);
    expect(scoreOf(drawn, stack, "induction", { layer: 1, head: 2 })).toBeCloseTo(0.6);
    expect(scoreOf(drawn, stack, "nonsense", { layer: 1, head: 2 })).toBeNaN();
  });

  it("has a profile over layers, unknown where a score is", () => {
    const [first, second] = profile(drawn, stack, "induction");
    expect(first).toBeCloseTo(0.2);
    expect(second).toBeCloseTo(0.5);
    expect(profile(drawn, stack, "distance")[0]).toBeNaN();
  });
});

it("a page whose record was closed says that no head is in it", async () => {
  const answer = answersFrom(() => [{ left_out: "This record was closed." }]);
  await expect(answer(wantOf("row", HEAD))).rejects.toThrow(
    "No head is in this file. This record was closed.",
  );
});

describe("the board", () => {
  it("says it is there, and reads what the trait holds", async () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    expect(model.sent).toEqual([{ type: "ready", binary: true }]);
    await until(() => board.overview(0)?.pictures[1] !== null);
    expect(board.overview(0)?.pictures[0]).toMatchObject({ rows: 2, cols: 2, stage: 1 });
    expect(board.stacks()[0]?.queries.tokens).toEqual(["a", " b", " c"]);
    board.close();
    expect(model.listening).toBe(0);
  });

  it("never puts a sampled picture in the place of an exact one", async () => {
    const model = new KernelModel(browserTraits({ overviews: [overview({ stages: [0, 0] })] }));
    const board = new Board(model);
    const drawn = { type: "drawn", stack: 0, layer: 1, layers: 1, rows: 2, cols: 2 };
    model.emit("msg:custom", { ...drawn, stage: 2 }, [deflated(Array(12).fill(200))]);
    await until(() => board.overview(0)?.pictures[1]?.stage === 2);
    model.emit("msg:custom", { ...drawn, stage: 1 }, [deflated(Array(12).fill(9))]);
    model.set("overviews", [overview({ stages: [1, 1] })]);
    await until(() => board.overview(0)?.pictures[0]?.stage === 1);
    expect(board.overview(0)?.pictures[1]).toMatchObject({ stage: 2 });
    expect(board.overview(0)?.pictures[1]?.codes[0]).toBe(200);
  });

  it("takes scores as they come", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const scored = Array(36).fill(0.25);
    model.emit("msg:custom", { type: "scored", stack: 0, names: [] }, [bytes(scored)]);
    expect(board.overview(0)?.scores[7]).toBe(0.25);
  });

  it("asks once, remembers, and forgets a place's old question", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const heard: [string, number, Answer][] = [];
    const [one, two] = [wantOf("row", HEAD, { a: 1 }), wantOf("row", HEAD, { a: 2 })];
    board.ask("row", [one], (want, answer) => heard.push(["old", want, answer]));
    board.ask("row", [one, two], (want, answer) => heard.push(["new", want, answer]));
    const [, first, second] = model.sent as { id: number; view: string; wants: unknown[] }[];
    expect(second?.wants).toEqual([one, two]);
    const answer = { type: "answer", view: first?.view, want: 0, error: null, said: {} };
    model.emit("msg:custom", { ...answer, id: first?.id }, [bytes([1])]);
    model.emit("msg:custom", { ...answer, view: "another", id: second?.id }, [bytes([1])]);
    expect(heard).toEqual([]);
    model.emit("msg:custom", { ...answer, id: second?.id, want: 1 }, [bytes([3])]);
    expect(heard.map(([of, want]) => [of, want])).toEqual([["new", 1]]);
    expect(board.known(two)?.buffers).toHaveLength(1);
    expect(board.known(one)).toBeUndefined();
  });

  it("remembers neither failures nor words of progress", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const want = wantOf("effect", HEAD);
    const heard: Answer[] = [];
    board.ask("effect", [want], (_, answer) => heard.push(answer));
    const { view, id } = model.sent.at(-1) as { view: string; id: number };
    const answer = { type: "answer", view, id, want: 0, said: { progress: "…" } };
    model.emit("msg:custom", { ...answer, error: null }, []);
    const error = { name: "ResultError", message: "closed" };
    model.emit("msg:custom", { ...answer, error }, []);
    expect(heard).toHaveLength(2);
    expect(board.known(want)).toBeUndefined();
  });

  /** Answers the board's last question, every want with so many bytes. */
  function reply(model: KernelModel, size = 4): void {
    const { view, id, wants } = model.sent.at(-1) as { view: string; id: number; wants: unknown[] };
    const answer = { type: "answer", view, id, error: null, said: {} };
    wants.forEach((_, want) => {
      model.emit("msg:custom", { ...answer, want }, [new DataView(new ArrayBuffer(size))]);
    });
  }

  it("keeps what is looked at, however much is asked besides, and not more than it may", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const tile = wantOf("grid", HEAD, { rows: [0, 1], cols: [0, 1] });
    const rows = Array.from({ length: 700 }, (_, a) => wantOf("row", HEAD, { a }));
    board.ask("matrix", [tile], () => {});
    reply(model);
    for (const row of rows) {
      expect(board.known(tile)).toBeDefined(); // as a matrix that is drawn again does
      board.ask("row", [row], () => {});
      reply(model);
    }
    expect(rows.filter((row) => board.known(row)).length).toBeLessThan(600);
    for (const row of rows.slice(0, 30)) {
      board.ask("large", [{ ...row, layer: 0 }], () => {});
      reply(model, 2 ** 20);
    }
    const large = rows.slice(0, 30).filter((row) => board.known({ ...row, layer: 0 }));
    expect(large.length).toBeLessThanOrEqual(24);
    expect(large.at(-1)).toBe(rows[29]);
  });

  it("tells pieces apart that differ only in between", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const [one, other] = [35, 20].map((edge) =>
      wantOf("grid", HEAD, { rows: [0, 10, edge, 50], cols: [0, 1] }),
    );
    board.ask("matrix", one ? [one] : [], () => {});
    reply(model);
    expect(one && board.known(one)).toBeDefined();
    expect(other && board.known(other)).toBeUndefined();
  });

  it("tells the kernel where nothing is looked at any more", () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    board.ask("row", [wantOf("row", HEAD)], () => {});
    board.ask("row", [], () => {});
    expect(model.sent.at(-1)).toMatchObject({ type: "ask", slot: "row", wants: [] });
    const sent = model.sent.length;
    board.ask("row", [], () => {});
    expect(model.sent).toHaveLength(sent);
  });

  it("says when a part cannot be loaded", async () => {
    const model = new KernelModel(browserTraits());
    const board = new Board(model);
    const part = board.part("attention_head");
    model.emit("msg:custom", { type: "part", name: "attention_head" }, [
      new DataView(new TextEncoder().encode("this is no module").buffer),
    ]);
    await expect(part).rejects.toThrow();
  });

  it("is empty before a kernel of another protocol", () => {
    const model = new KernelModel(browserTraits());
    (model.state["subject"] as { protocol: number }).protocol = 99;
    expect(new Board(model).stacks()).toEqual([]);
  });
});

it("a stack of the samples is what a kernel would send", () => {
  expect(STACK.layers * STACK.heads).toBe(6);
});
