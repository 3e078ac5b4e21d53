/** Deflated bytes, unpacked by the browser itself. */

import type { Bytes } from "../decode";

export async function inflate(bytes: Bytes): Promise<Uint8Array> {
  const stream = new Blob([bytes as BlobPart])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
