// What the page holds: columns of the result, one value a sample, and texts as bytes until they are asked for.

const about = JSON.parse(document.getElementById("about").textContent);
const ARRAYS = {
  f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array,
};
const decoder = new TextDecoder();

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// The arrays of one script element by name; its text is freed.
async function unpacked(id, directory) {
  const element = document.getElementById(id);
  const packed = new Blob([bytesOf(element.textContent)]);
  element.textContent = "";
  const buffer = await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const arrays = {};
  for (const [name, [kind, offset, length]] of Object.entries(directory))
    arrays[name] = new ARRAYS[kind](buffer, offset, length);
  return arrays;
}

// Pieces of bytes, one behind the other.
class Pieces {
  constructor(arrays, name) {
    this.bytes = arrays[name];
    this.at = arrays[name + ".at"];
    this.length = this.at.length - 1;
  }
  piece(i) { return this.bytes.subarray(this.at[i], this.at[i + 1]); }
  text(i) { return decoder.decode(this.piece(i)); }
}

// Texts that are searched: decoded once, when first asked for.
function lowered(pieces) {
  pieces.lowered ??= Array.from({ length: pieces.length }, (_, i) => pieces.text(i).toLowerCase());
  return pieces.lowered;
}
