// Sets of copies: which samples are copies of each other, and whether their labels differ.

class Copies {
  // set: set of each sample, -1 for samples without a copy.
  constructor(set, label) {
    this.set = set;
    this.rows = new Map();
    set.forEach((code, row) => { if (code >= 0) { if (this.rows.has(code)) this.rows.get(code).push(row); else this.rows.set(code, [row]); } });
    this.contradictory = new Set();
    for (const [code, rows] of this.rows) {
      if (rows.length < 2) this.rows.delete(code);
      else if (label && rows.some((row) => label[row] !== label[rows[0]])) this.contradictory.add(code);
    }
  }
  // Rows of the sample's set, without the sample.
  of(row) { return (this.rows.get(this.set[row]) ?? []).filter((other) => other !== row); }
  has(row) { return this.rows.has(this.set[row]); }
  contradicts(row) { return this.contradictory.has(this.set[row]); }
  // Values to sort by: contradictory sets first, then large ones, each set together.
  order() {
    const sets = [...this.rows].sort(([a, x], [b, y]) => this.contradictory.has(b) - this.contradictory.has(a) || y.length - x.length || a - b);
    const values = new Float64Array(this.set.length).fill(NaN);
    sets.forEach(([, rows], rank) => { for (const row of rows) values[row] = sets.length - rank; });
    return values;
  }
}
