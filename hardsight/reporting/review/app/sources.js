// Sources of the samples' content: the page itself, or its server.
// `await source.sample(i)` gives {kind, …} or null; `await source.search(text, found)` marks the samples that contain a text;
// `await source.nearest(i)` gives rows or null.

function imageOf(bytes, pixelated) {
  return { kind: "image", url: URL.createObjectURL(new Blob([bytes], { type: "image/png" })), pixelated };
}

class LruCache {
  constructor(most, forget) { this.most = most; this.forget = forget; this.held = new Map(); }
  get(key) {
    const value = this.held.get(key);
    if (value !== undefined) { this.held.delete(key); this.held.set(key, value); }
    return value;
  }
  set(key, value) {
    this.held.set(key, value);
    if (this.held.size <= this.most) return;
    const [oldest, dropped] = this.held.entries().next().value;
    this.held.delete(oldest);
    this.forget(dropped);
  }
}

class EmbeddedSource {
  constructor(arrays, place) {
    this.about = about.contents;
    this.kind = this.about.kind;
    this.arrays = arrays;
    this.place = place;
    this.recent = new LruCache(400, (image) => URL.revokeObjectURL(image.url));
    if (this.kind === "image") this.images = new Pieces(arrays, "images");
    if (this.kind === "text") this.texts = new Pieces(arrays, "texts");
    if (this.kind === "table") this.columns = this.about.columns.map((column, at) => this.column(column, at));
  }
  column(column, at) {
    const values = this.arrays[`column ${at}`];
    if (!column.words) return { ...column, values };
    const kinds = new Pieces(this.arrays, `kinds ${at}`);
    return { ...column, values, kinds, rare: this.arrays[`rare ${at}`], missing: this.arrays[`missing ${at}`] };
  }
  async sample(i) {
    const at = this.place[i];
    if (at < 0 || this.kind === "parts") return null;
    if (this.kind === "text") return { kind: "text", text: this.texts.text(at), leftOut: this.arrays.left_out[at] };
    if (this.kind === "table")
      return { kind: "table", values: this.columns.map((c) => tableValue(c, at)), leftOut: this.about.left_out };
    let image = this.recent.get(at);
    if (!image) this.recent.set(at, (image = imageOf(this.images.piece(at), this.about.pixelated)));
    return image;
  }
  // Marks the samples whose text or words contain the text.
  mark(text, found) {
    if (this.kind === "image" || this.kind === "parts") return;
    const lists = this.kind === "text" ? [{ hits: lowerTexts(this.texts).map((t) => t.includes(text)) }]
      : this.columns.filter((c) => c.words).map((c) => ({ values: c.values, hits: lowerTexts(c.kinds).map((k) => k.includes(text)) }));
    for (let i = 0; i < found.length; i++) {
      const at = this.place[i];
      if (at < 0 || found[i]) continue;
      for (const { values, hits } of lists) if (hits[values ? values[at] : at]) { found[i] = 1; break; }
    }
  }
  async search(text, found) { this.mark(text, found); }
  nearest(i) { return null; }
}

function tableValue(column, at) {
  const value = column.values[at];
  const gap = { name: column.name, value: "missing", unusual: column.rareGap ? "seldom missing" : "" };
  if (column.words)
    return column.missing[at] ? gap : { name: column.name, value: column.kinds.text(value), unusual: column.rare[value] ? "rare" : "" };
  if (Number.isNaN(value)) return gap;
  const unusual = column.low !== null && value < column.low ? "unusually low"
    : column.high !== null && value > column.high ? "unusually high" : "";
  return { name: column.name, value: dataNumber(value), unusual };
}

class ServerSource {
  constructor() {
    this.recent = new LruCache(400, () => {});
  }
  async sample(i) {
    if (!about.served.samples) return null;
    let found = this.recent.get(i);
    if (!found) {
      const answer = await fetch(`samples/${i}`);
      if (!answer.ok) return null;
      found = await answer.json();
      if (found.kind === "image") found.url = `images/${i}`;
      this.recent.set(i, found);
    }
    return found;
  }
  async search(text, found) {
    if (!about.served.samples) return;
    const answer = await fetch("search?" + new URLSearchParams({ text }));
    if (answer.ok) for (const i of new Uint32Array(await answer.arrayBuffer())) found[i] = 1;
  }
  async nearest(i) {
    if (!about.served.nearest) return null;
    const answer = await fetch(`nearest/${i}`);
    return answer.ok ? answer.json() : null;
  }
}

class EmptySource {
  async sample() { return null; }
  async search() {}
  near() { return null; }
}

// A small view of a sample, for the list and for neighbours. Columns of a table that the reason names come first, in both.
function miniature(shown, alt, reason = "") {
  if (!shown) return make("span", { class: "mini none" });
  if (shown.kind === "image") return make("img", { class: "mini" + (shown.pixelated ? " pixels" : ""), src: shown.url, alt });
  if (shown.kind === "text") return make("span", { class: "mini words", dir: "auto" }, oneLine(shown.text, 160));
  const rank = (v) => (reason.includes(`'${oneLine(v.name)}'`) ? 0 : v.unusual ? 1 : 2);
  const telling = [...shown.values].sort((a, b) => rank(a) - rank(b)).slice(0, 4);
  return make("span", { class: "mini words" }, ...telling.map((v) =>
    make("span", { class: v.unusual ? "value unusual" : "value" }, ...breakable(oneLine(v.name, 24)), " ", make("b", {}, oneLine(v.value, 32)))));
}

// The full view of a sample.
function fullView(shown, alt) {
  if (!shown) return make("p", { class: "empty" }, about.contents || about.served?.samples
    ? `This ${about.nouns.row} did not fit into the page: hardsight serve shows all.`
    : about.nouns.row === about.nouns.sample ? "Pass the samples to the review to see their content." : "Pass the samples to the review to see more.");
  if (shown.kind === "image") return make("img", { class: "whole" + (shown.pixelated ? " pixels" : ""), src: shown.url, alt });
  if (shown.kind === "text") {
    const text = make("div", { class: "text", dir: "auto" }, lines(shown.text));
    if (shown.leftOut) text.append(make("small", {}, ` … ${plural(shown.leftOut, "more character")}`));
    return text;
  }
  const values = shown.values.length > 16
    ? shown.values.filter((v) => v.unusual).concat(shown.values.filter((v) => !v.unusual)) : shown.values;
  return make("dl", { class: "values" }, ...values.map((v) => make("div", { class: v.unusual ? "unusual" : null },
    make("dt", {}, make("bdi", {}, ...breakable(oneLine(v.name)))),
    make("dd", {}, make("bdi", {}, oneLine(v.value)), v.unusual ? make("small", {}, ` ${v.unusual}`) : null))),
    shown.leftOut ? make("div", {}, make("small", {}, plural(shown.leftOut, "more value"))) : null);
}
