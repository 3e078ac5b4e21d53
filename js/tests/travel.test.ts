import { expect, it } from "vitest";
import { arrived } from "../src/travel";

const MARK = "\ufdd0";

it("undoes what the kernel did to lone surrogates", () => {
  expect(arrived(`a${MARK}\ue000b`)).toBe("a\ud800b");
  expect(arrived(`${MARK}\ue7ff`)).toBe("\udfff");
  expect(arrived(`${MARK}${MARK}\ue000`)).toBe(`${MARK}\ue000`);
  expect(arrived(`${MARK}${MARK}${MARK}\ue400`)).toBe(`${MARK}\udc00`);
});

it("reaches texts and names at any depth", () => {
  const sent = { [`${MARK}\ue000`]: [{ a: `${MARK}\ue001` }, null, 1], b: "x" };
  expect(arrived(sent)).toEqual({ "\ud800": [{ a: "\ud801" }, null, 1], b: "x" });
});

it("keeps what needs nothing undone, and says the same again of the same", () => {
  const plain = { a: ["\ue000", { b: new DataView(new ArrayBuffer(4)) }], c: new ArrayBuffer(8) };
  expect(arrived(plain)).toBe(plain);
  const odd = { a: `${MARK}\ue000`, bytes: new DataView(new ArrayBuffer(4)) };
  expect(arrived(odd)).toBe(arrived(odd));
  expect(arrived(odd).bytes).toBe(odd.bytes);
});

it("makes names that an object inherits its own", () => {
  const sent = JSON.parse(`{"__proto__": "${MARK}\ue000", "constructor": "x"}`) as object;
  expect(Object.entries(arrived(sent))).toEqual([
    ["__proto__", "\ud800"],
    ["constructor", "x"],
  ]);
});
