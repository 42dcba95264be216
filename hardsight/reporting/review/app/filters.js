// Which samples are shown, and in which order.

class Filters {
  constructor(columns, decisions, source) {
    Object.assign(this, { columns, decisions, source, orders: new Map(), text: "", found: null });
    this.clear();
  }
  clear() {
    this.label = null;
    this.decided = "";
    this.copies = "";
    this.sample = "";
    this.causes = new Set(about.causes.keys());
    this.ranges = {};
    this.area = null;
    this.text = "";
    this.found = null;
  }
  async search(text) {
    const wanted = text.trim().toLowerCase();
    this.text = wanted;
    if (!wanted) { this.found = null; return; }
    const found = new Uint8Array(about.n);
    const ids = lowerTexts(this.columns.idTexts);
    for (let i = 0; i < ids.length; i++) if (ids[i].includes(wanted)) found[i] = 1;
    if (about.classes) {
      const hits = about.classes.map((name) => name.toLowerCase().includes(wanted));
      const { label } = this.columns;
      for (let i = 0; i < found.length; i++) if (hits[label[i]]) found[i] = 1;
    }
    this.columns.parts?.mark(wanted, found);
    await this.source.search(wanted, found);
    // Unless another search has begun in the meantime.
    if (this.text === wanted) this.found = found;
  }
  // Mask of the samples that pass every filter.
  mask() {
    const pass = this.found ? this.found.slice() : new Uint8Array(about.n).fill(1);
    const { label, cause } = this.columns;
    if (this.label !== null) filterMask(pass, (i) => label[i] === this.label);
    if (cause && this.causes.size < about.causes.length) {
      const wanted = about.causes.map((_, code) => this.causes.has(code));
      filterMask(pass, (i) => wanted[cause[i]]);
    }
    for (const [name, [low, high]] of Object.entries(this.ranges)) {
      const values = this.columns[name];
      filterMask(pass, (i) => values[i] >= low && values[i] <= high);
    }
    if (this.area) filterMask(pass, (i) => this.area[i]);
    const { copies, parts } = this.columns;
    if (this.sample) {
      const wanted = parts.samplesCalled(this.sample);
      filterMask(pass, (i) => wanted[parts.code[i]]);
    }
    if (this.copies) filterMask(pass, (i) => (this.copies === "any" ? copies.has(i) : copies.contradicts(i)));
    if (this.decided) {
      const { byRow } = this.decisions, wanted = this.decided;
      if (wanted === "none") for (const row of byRow.keys()) pass[row] = 0;
      else filterMask(pass, (i) => { const d = byRow.get(i); return d !== undefined && (wanted === "any" || d.action === wanted); });
    }
    return pass;
  }
  // Rows from highest to lowest. Ties are ordered by error, then as given; unknown values come last.
  order(name) {
    let order = this.orders.get(name);
    if (order) return order;
    order = allRows(about.n);
    if (name !== "given") {
      const sortable = (column) => Float64Array.from(column, (v) => (Number.isNaN(v) ? -Number.MAX_VALUE : v));
      const values = sortable(this.columns[name].order?.() ?? this.columns[name]), error = sortable(this.columns.error);
      order.sort((a, b) => values[b] - values[a] || error[b] - error[a] || a - b);
    }
    this.orders.set(name, order);
    return order;
  }
  rows(mask, name) {
    return this.order(name).filter((i) => mask[i]);
  }
}

function filterMask(pass, test) {
  for (let i = 0; i < pass.length; i++) if (pass[i] && !test(i)) pass[i] = 0;
}
