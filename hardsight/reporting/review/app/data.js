// The data of the page: columns of the result, one value per sample, and texts, kept as bytes until they are needed.

const about = JSON.parse(document.getElementById("about").textContent);
const ARRAYS = {
  f4: Float32Array, f8: Float64Array, u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i4: Int32Array,
};
const decoder = new TextDecoder();

function decodeBase64(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

// Returns the arrays of one script element by name, and frees its text.
async function unpackArrays(id, directory) {
  const element = document.getElementById(id);
  const packed = new Blob([decodeBase64(element.textContent)]);
  element.textContent = "";
  const buffer = await new Response(packed.stream().pipeThrough(new DecompressionStream("deflate"))).arrayBuffer();
  const arrays = {};
  for (const [name, [kind, offset, length]] of Object.entries(directory))
    arrays[name] = new ARRAYS[kind](buffer, offset, length);
  return arrays;
}

// Pieces of bytes, one after the other.
class Pieces {
  constructor(arrays, name) {
    this.bytes = arrays[name];
    this.at = arrays[name + ".at"];
    this.length = this.at.length - 1;
  }
  piece(i) { return this.bytes.subarray(this.at[i], this.at[i + 1]); }
  text(i) { return decoder.decode(this.piece(i)); }
}

const allRows = (n) => Uint32Array.from({ length: n }, (_, i) => i);

// Rows sorted by their code, and where each code begins among them, with an end.
function sortByCode(rows, codes, count) {
  const starts = new Uint32Array(count + 1), sorted = new Uint32Array(rows.length);
  for (const row of rows) starts[codes[row] + 1]++;
  for (let code = 0; code < count; code++) starts[code + 1] += starts[code];
  const next = starts.slice();
  for (const row of rows) sorted[next[codes[row]]++] = row;
  return { sorted, starts };
}

// Lower-case texts for searching, decoded once, on first use.
function lowerTexts(pieces) {
  pieces.lowered ??= Array.from({ length: pieces.length }, (_, i) => pieces.text(i).toLowerCase());
  return pieces.lowered;
}
