"use strict";

/** Decode base85 (RFC 1924, with a comma for "<"): five characters to four bytes, big-endian. */
function decodeBase85(text, byteLength) {
  const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
  const digits = new Uint8Array(128);
  for (let i = 0; i < alphabet.length; i++) digits[alphabet.charCodeAt(i)] = i;
  const bytes = new Uint8Array(Math.ceil(byteLength / 4) * 4);
  const view = new DataView(bytes.buffer);
  let value = 0, count = 0, offset = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 32) continue; // line ends
    value = value * 85 + digits[code];
    if (++count === 5) {
      view.setUint32(offset, value);
      offset += 4;
      value = count = 0;
    }
  }
  return bytes.subarray(0, byteLength);
}

/** Decompress zlib data to an ArrayBuffer. */
async function inflate(bytes) {
  if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old; use one of 2023 or later");
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

const ARRAY_TYPES = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  float32: Float32Array,
};

/** Split the unpacked data into {header, arrays}; an array is {data, shape}. */
function readModel(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const arrays = {};
  for (const [name, [type, shape, offset]] of Object.entries(header.arrays)) {
    const size = shape.reduce((product, side) => product * side, 1);
    arrays[name] = { data: new ARRAY_TYPES[type](buffer, 4 + length + offset, size), shape };
  }
  return { header, arrays };
}

/** Weights as float32: int8 rows times their scales. */
function dequantize(arrays, name) {
  const { data, shape } = arrays[name];
  if (!arrays[`${name}.scale`]) return data;
  const scale = arrays[`${name}.scale`].data, size = data.length / shape[0];
  const values = new Float32Array(data.length);
  for (let i = 0; i < values.length; i++) values[i] = data[i] * scale[Math.floor(i / size)];
  return values;
}
