import { describe, expect, it } from "vitest";
import { floats, inPlace, rowOf } from "../src/decode";

const VALUES = [1.5, -2, Number.NaN, 1e-7];

function shifted(offset: number): DataView {
  const buffer = new ArrayBuffer(offset + 16 + 3);
  const view = new DataView(buffer, offset, 16);
  VALUES.forEach((value, i) => {
    view.setFloat32(4 * i, value, true);
  });
  return view;
}

describe("floats", () => {
  const expected = Float32Array.from(VALUES);

  it("reads an ArrayBuffer, a DataView and a byte array", () => {
    const view = shifted(0);
    expect(floats(expected.buffer.slice(0))).toEqual(expected);
    expect(floats(view)).toEqual(expected);
    expect(floats(new Uint8Array(view.buffer, 0, 16))).toEqual(expected);
  });

  it.each([1, 2, 3, 4, 6, 8])("honours an offset of %i bytes", (offset) => {
    expect(floats(shifted(offset))).toEqual(expected);
  });

  it("copies only what is misaligned", () => {
    const aligned = shifted(4);
    expect(floats(aligned).buffer).toBe(aligned.buffer);
    const misaligned = shifted(3);
    expect(floats(misaligned).buffer).not.toBe(misaligned.buffer);
  });

  it("ignores an incomplete tail and takes nothing for nothing", () => {
    expect(floats(new ArrayBuffer(18))).toHaveLength(4);
    expect(floats(new ArrayBuffer(0))).toHaveLength(0);
    for (const nothing of [undefined, null, "", {}, [1, 2]])
      expect(floats(nothing)).toHaveLength(0);
  });
});

it("keeps the place of buffers that are missing", () => {
  const buffers = inPlace({}, [bytes(4), undefined, bytes(8)]);
  expect(buffers.map((buffer) => buffer.byteLength)).toEqual([4, 0, 8]);
  expect(inPlace(null, undefined)).toEqual([]);
});

it("reads base64 text where a host cannot carry bytes", () => {
  const text = btoa(String.fromCharCode(...new Uint8Array(Float32Array.of(1.5, -2).buffer)));
  expect(floats(text)).toEqual(Float32Array.of(1.5, -2));
  expect(floats(inPlace({ buffers: ["", text] }, [])[1])).toEqual(Float32Array.of(1.5, -2));
  expect(floats("no base64!")).toHaveLength(0);
});

it("finds rows, but none beyond the end", () => {
  const matrix = Float32Array.from([1, 2, 3, 4, 5, 6, 7]);
  expect(rowOf(matrix, 1, 3)).toEqual(Float32Array.from([4, 5, 6]));
  expect(rowOf(matrix, 2, 3)).toBeNull();
  expect(rowOf(matrix, 0, 0)).toBeNull();
});

function bytes(length: number): ArrayBuffer {
  return new ArrayBuffer(length);
}
