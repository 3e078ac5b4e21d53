/**
 * Bytes from the kernel to numbers.
 *
 * A buffer may arrive as an ArrayBuffer, or as a view into a larger one at any offset.
 * The offset is honoured, misaligned bytes are copied, and big-endian machines are served
 * too: the wire is always little-endian float32.
 */

export type Bytes = ArrayBuffer | ArrayBufferView;

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
const FLOAT = Float32Array.BYTES_PER_ELEMENT;

/** Whether a value can be decoded at all. */
export function isBytes(value: unknown): value is Bytes {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/**
 * Decode little-endian float32 numbers; nothing, or no bytes, become an empty array.
 *
 * The result may share memory with the buffer when it is aligned.
 */
export function floats(bytes: unknown): Float32Array {
  if (!isBytes(bytes)) return new Float32Array(0);
  const buffer = bytes instanceof ArrayBuffer ? bytes : (bytes.buffer as ArrayBuffer);
  const offset = bytes instanceof ArrayBuffer ? 0 : bytes.byteOffset;
  const length = Math.floor(bytes.byteLength / FLOAT);
  if (!LITTLE_ENDIAN) {
    const view = new DataView(buffer, offset, length * FLOAT);
    return Float32Array.from({ length }, (_, i) => view.getFloat32(i * FLOAT, true));
  }
  if (offset % FLOAT === 0) return new Float32Array(buffer, offset, length);
  return new Float32Array(buffer.slice(offset, offset + length * FLOAT));
}

/** Bytes as they are; whatever is not bytes counts as none. */
export function octets(bytes: unknown): Uint8Array<ArrayBuffer> {
  if (!isBytes(bytes)) return new Uint8Array();
  return bytes instanceof ArrayBuffer
    ? new Uint8Array(bytes)
    : new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

/** Decode little-endian uint32 numbers, copied. */
export function wholes(bytes: unknown): Uint32Array {
  return new Uint32Array(octets(bytes).slice().buffer);
}

/** The buffers of a message, each in its place; whatever is not bytes counts as empty. */
export function inPlace(buffers: readonly unknown[] | undefined): Bytes[] {
  return (buffers ?? []).map((buffer) => (isBytes(buffer) ? buffer : new ArrayBuffer(0)));
}

/** Row `row` of a matrix with `columns` columns; null if the matrix does not reach that far. */
export function rowOf(matrix: Float32Array, row: number, columns: number): Float32Array | null {
  const start = row * columns;
  return columns > 0 && start + columns <= matrix.length
    ? matrix.subarray(start, start + columns)
    : null;
}
