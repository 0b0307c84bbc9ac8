// Reads NumPy's .npy format, version 1: float32 or uint8, two dimensions, C order.

/**
 * @param {ArrayBuffer} buffer
 * @returns {{ rows: number, cols: number, values: Float32Array | Uint8Array }}
 */
export function parse(buffer) {
  const length = new DataView(buffer).getUint16(8, true);
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, 10, length));
  const shape = /'shape': \((\d+), (\d+)\)/.exec(header);
  const kind = /'descr': '([<|])(f4|u1)'/.exec(header);
  if (!shape || !kind || !header.includes("'fortran_order': False")) throw new Error("the heat map has an unknown format");
  const start = 10 + length;
  const values = kind[2] === "f4" ? new Float32Array(buffer.slice(start)) : new Uint8Array(buffer, start);
  return { rows: Number(shape[1]), cols: Number(shape[2]), values };
}
