// The list of samples. Only visible rows are in the document, however many there are.

const ROW = 68;
// Browsers do not scroll farther than some 30 million pixels; longer lists are scrolled in proportion.
const TALLEST = 8e6;

class List {
  constructor(element, rows, draw, choose) {
    Object.assign(this, { element, place: rows, drawRow: draw, choose, rows: new Uint32Array(0), chosen: -1, nodes: new Map() });
    element.addEventListener("scroll", () => this.soon());
    new ResizeObserver(() => this.soon()).observe(element);
    rows.addEventListener("click", (event) => {
      const option = event.target.closest("[data-at]");
      if (option) { choose(this.rows[Number(option.dataset.at)]); element.focus({ preventScroll: true }); }
    });
  }
  soon() {
    this.frame ??= requestAnimationFrame(() => { this.frame = null; this.draw(); });
  }
  show(rows) {
    this.rows = rows;
    this.height = Math.min(rows.length * ROW, TALLEST);
    this.place.style.height = this.height + "px";
    this.redraw();
  }
  redraw() {
    this.nodes.clear();
    this.place.replaceChildren();
    this.draw();
  }
  // The row at the top of the list, in rows and fractions of rows.
  top() {
    const view = this.element.clientHeight, whole = this.rows.length * ROW;
    const share = this.element.scrollTop / Math.max(1, this.height - view);
    return this.height < whole ? (share * (whole - view)) / ROW : this.element.scrollTop / ROW;
  }
  draw() {
    const view = this.element.clientHeight, top = this.top();
    const first = Math.max(0, Math.floor(top) - 4), last = Math.min(this.rows.length, Math.ceil(top + view / ROW) + 4);
    for (const [at, node] of this.nodes) if (at < first || at >= last) { node.remove(); this.nodes.delete(at); }
    const shift = this.element.scrollTop - top * ROW;
    for (let at = first; at < last; at++) {
      let node = this.nodes.get(at);
      if (!node) {
        node = this.drawRow(this.rows[at], at, this.rows.length);
        this.nodes.set(at, node);
        const after = [...this.place.children].find((other) => Number(other.dataset.at) > at);
        this.place.insertBefore(node, after ?? null);
      }
      node.style.transform = `translateY(${at * ROW + shift}px)`;
      node.setAttribute("aria-selected", String(this.rows[at] === this.chosen));
    }
    const here = this.nodes.get(this.at());
    if (here) this.element.setAttribute("aria-activedescendant", here.id);
    else this.element.removeAttribute("aria-activedescendant");
  }
  at() {
    if (this.rows[this.known] === this.chosen) return this.known;
    this.known = this.rows.indexOf(this.chosen);
    return this.known;
  }
  select(row) {
    this.chosen = row;
    this.reveal(this.at());
    this.draw();
  }
  reveal(at) {
    if (at < 0) return;
    const view = this.element.clientHeight, whole = this.rows.length * ROW, top = this.top() * ROW;
    const wanted = at * ROW < top ? at * ROW : (at + 1) * ROW > top + view ? (at + 1) * ROW - view : null;
    if (wanted === null) return;
    this.element.scrollTop = this.height < whole ? (wanted / (whole - view)) * (this.height - view) : wanted;
  }
  // Rows per Page Up or Page Down.
  page() { return Math.max(1, Math.floor(this.element.clientHeight / ROW) - 1); }
}
