// Rows that are parts of samples, such as tokens of a sentence: which belong together, and a sample with its parts marked.

// Parts on each side of the chosen one that the page shows.
const PARTS_AROUND = 150, WORDS_AROUND = 4;
// P(label wrong) beyond which a part is marked as doubtful and as likely wrong.
const DOUBTED = 0.1, LIKELY_WRONG = 0.5;

class Parts {
  constructor(columns) {
    this.columns = columns;
    this.code = columns.sample_of;
    this.samples = new Pieces(columns, "samples");
    this.names = new Pieces(columns, "part_names");
    if (columns.part_text) this.texts = new Pieces(columns, "part_texts");
    this.doubt = columns.p_wrong ?? columns.p_outlier;
    // Rows sorted by sample, where each sample begins, and the place of each row.
    const { sorted, starts } = sortByCode(allRows(about.n), this.code, this.samples.length);
    Object.assign(this, { rows: sorted, starts, place: new Uint32Array(about.n) });
    sorted.forEach((row, at) => { this.place[row] = at; });
    this.usual = about.classes ? mostFrequent(columns.label) : -1;
  }
  // Whether the parts of a sample are a running text.
  get inline() { return this.texts !== undefined; }
  sampleName(i) { return oneLine(this.samples.text(this.code[i]), 120); }
  text(i) {
    const { part_text, part_of } = this.columns;
    return oneLine(this.inline ? this.texts.text(part_text[i]) : this.names.text(part_of[i]), 80);
  }
  // The part that stands so many places farther on in the same sample; undefined beyond its end.
  step(i, by) {
    const at = this.place[i] + by;
    return at >= this.starts[this.code[i]] && at < this.starts[this.code[i] + 1] ? this.rows[at] : undefined;
  }
  // The parts around one, and how many are left out on each side.
  around(i, side) {
    const start = this.starts[this.code[i]], end = this.starts[this.code[i] + 1];
    const first = Math.max(start, this.place[i] - side), last = Math.min(end, this.place[i] + side + 1);
    return { rows: this.rows.subarray(first, last), before: first - start, after: end - last };
  }
  // Expected number of wrong labels of each row's sample, or its error.
  order() {
    const values = this.doubt ?? this.columns.error, sums = new Float64Array(this.samples.length);
    this.code.forEach((code, row) => { if (!Number.isNaN(values[row])) sums[code] += values[row]; });
    return Float32Array.from(this.code, (code) => sums[code]);
  }
  // Which samples a name stands for: the one that is called so, or else all whose name contains it.
  samplesCalled(name) {
    const wanted = name.trim().toLowerCase(), names = lowerTexts(this.samples);
    const exact = names.indexOf(wanted);
    return exact >= 0 ? names.map((_, code) => code === exact) : names.map((each) => each.includes(wanted));
  }
  // Marks the parts in whose running text, or in whose name, the text stands. A text may span several parts.
  mark(text, found) {
    if (!this.inline) {
      const hits = lowerTexts(this.names).map((name) => name.includes(text));
      for (let i = 0; i < found.length; i++) if (hits[this.columns.part_of[i]]) found[i] = 1;
      return;
    }
    this.running ??= this.joined();
    const { all, begins } = this.running;
    for (let at = all.indexOf(text), part = 0; at >= 0; at = all.indexOf(text, at + 1)) {
      while (part + 1 < begins.length && begins[part + 1] <= at) part++;
      for (let each = part; each < begins.length && begins[each] < at + text.length; each++) found[this.rows[each]] = 1;
    }
  }
  // All running texts in lower case, one line per sample, and where each part begins, in the order of the rows by sample.
  joined() {
    const kinds = lowerTexts(this.texts), begins = new Uint32Array(about.n), pieces = [];
    let length = 0;
    this.rows.forEach((row, at) => {
      begins[at] = length;
      const last = at + 1 === this.rows.length || this.code[this.rows[at + 1]] !== this.code[row];
      const piece = kinds[this.columns.part_text[row]] + (last ? "\n" : " ");
      pieces.push(piece);
      length += piece.length;
    });
    return { all: pieces.join(""), begins };
  }
  level(i) {
    const p = this.doubt?.[i];
    return p > LIKELY_WRONG ? "wrong" : p > DOUBTED ? "doubtful" : "";
  }
  // The label of a part as words, with the suggested one if the label is doubtful.
  said(i) {
    const { label, suggested, error } = this.columns, doubt = this.level(i);
    if (!label) return number(error[i], 2);
    const other = doubt && suggested && suggested[i] !== label[i] ? ` → ${labelText(suggested[i])}` : "";
    return labelText(label[i]) + other + (doubt ? ` ${chance(this.doubt[i])}` : "");
  }
  part(i, chosen) {
    const usual = this.columns.label && about.classes && this.columns.label[i] === this.usual, doubt = this.level(i);
    const shown = doubt || !usual || !this.inline;
    return make("button", {
      type: "button", class: ["part", doubt, usual ? "usual" : "", i === chosen ? "current" : ""].filter(Boolean).join(" "),
      "data-row": i, title: this.said(i), "aria-current": i === chosen ? "true" : null,
    }, make("bdi", {}, this.text(i)), shown ? make("small", {}, " ", make("bdi", {}, this.said(i))) : null);
  }
  section(i) {
    const { rows, before, after } = this.around(i, PARTS_AROUND), { sample, row, rows: several } = about.nouns;
    const left = (count) => count ? make("small", { class: "soft" }, ` … ${plural(count, `more ${row}`, `more ${several}`)} `) : null;
    const parts = [...rows].flatMap((each) => [this.part(each, i), " "]);
    const name = this.sampleName(i);
    return make("section", { "aria-label": `${sample} ${name}`, class: "its-sample" },
      make("h3", {}, `${capital(sample)} `, make("bdi", { class: "id" }, name), " ",
        make("button", { type: "button", class: "quiet", "data-sample": this.samples.text(this.code[i]) }, `list only this ${sample}`)),
      make("div", { class: `of-parts ${this.inline ? "running" : "chips"}`, dir: this.inline ? "auto" : null }, left(before), ...parts, left(after)));
  }
  // A part with a few words around it.
  miniature(i) {
    const { rows, before, after } = this.around(i, WORDS_AROUND);
    const words = [...rows].flatMap((each) => [each === i ? make("b", {}, this.text(each)) : this.text(each), " "]);
    return make("span", { class: "mini words", dir: "auto" }, before ? "… " : "", ...words, after ? "…" : "");
  }
}

function mostFrequent(label) {
  const counts = new Uint32Array(about.classes.length);
  for (const code of label) counts[code]++;
  return counts.indexOf(counts.reduce((most, count) => Math.max(most, count), 0));
}
