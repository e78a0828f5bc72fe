/** The same memory as a Uint8Array: a Buffer's slice shares what a Uint8Array's copies, so no Buffer leaves this layer or HTTP. */
export const plain = (bytes: Buffer | Uint8Array): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
