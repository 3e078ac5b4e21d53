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

/** Whether a value can be decoded at all: bytes, or base64 text where a host cannot carry bytes. */
export function isBytes(value: unknown): value is Bytes | string {
  return typeof value === "string" || value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/**
 * Decode little-endian float32 numbers; nothing, or no bytes, become an empty array.
 *
 * The result may share memory with the buffer when it is aligned.
 */
export function floats(bytes: unknown): Float32Array {
  const { buffer, byteOffset, byteLength } = octets(bytes);
  const length = Math.floor(byteLength / FLOAT);
  if (!LITTLE_ENDIAN) {
    const view = new DataView(buffer, byteOffset, length * FLOAT);
    return Float32Array.from({ length }, (_, i) => view.getFloat32(i * FLOAT, true));
  }
  if (byteOffset % FLOAT === 0) return new Float32Array(buffer, byteOffset, length);
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length * FLOAT));
}

/** Bytes as they are; whatever is not bytes counts as none. */
export function octets(bytes: unknown): Uint8Array<ArrayBuffer> {
  if (!isBytes(bytes)) return new Uint8Array();
  if (typeof bytes === "string") return fromBase64(bytes);
  return bytes instanceof ArrayBuffer
    ? new Uint8Array(bytes)
    : new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength);
}

/** What is not base64 counts as no bytes. */
function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    return new Uint8Array();
  }
}

/** Decode little-endian uint32 numbers, copied. */
export function wholes(bytes: unknown): Uint32Array {
  return new Uint32Array(octets(bytes).slice().buffer);
}

/** The buffers of a message, or what its content holds of them, each in its place. */
export function inPlace(content: unknown, buffers: unknown): Bytes[] {
  const text = (content as { buffers?: unknown } | null)?.buffers;
  const list = Array.isArray(text) ? text : buffers;
  return Array.isArray(list) ? list.map(octets) : [];
}

/** Row `row` of a matrix with `columns` columns; null if the matrix does not reach that far. */
export function rowOf(matrix: Float32Array, row: number, columns: number): Float32Array | null {
  const start = row * columns;
  return columns > 0 && start + columns <= matrix.length
    ? matrix.subarray(start, start + columns)
    : null;
}
