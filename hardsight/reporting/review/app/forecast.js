// What changes of labels are expected to do if nobody looks, by P(label wrong) and P(suggested): as in
// hardsight/difficulty/forecast.py.

const FORECAST_CLASSES = 200;

class Forecast {
  // changes: [row, before, after]. Empty if P(label wrong) is unknown.
  constructor(columns, changes) {
    Object.assign(this, { columns, byClass: new Map(), total: Forecast.empty(), tooFew: 0 });
    if (!columns.p_wrong || !columns.suggested || !about.classes) return;
    for (const [row, , after] of changes) if (after) this.add(row, after);
    this.before = columns.p_wrong.reduce((sum, p) => sum + p, 0);
  }
  static empty() { return { relabelled: 0, putRight: 0, spoilt: 0, stillWrong: 0, unknown: 0, dropped: 0, droppedRight: 0, removed: 0 }; }
  add(row, { action, label: to }) {
    const { label, cause } = this.columns, given = label[row];
    if (!(action === "drop" || (action === "relabel" && to !== given))) return;
    if (!this.byClass.has(given)) this.byClass.set(given, Forecast.empty());
    for (const sums of [this.byClass.get(given), this.total]) this.addTo(sums, row, action, to);
    if (action === "relabel" && cause && about.causes[cause[row]] === about.tooFew) this.tooFew++;
  }
  addTo(sums, row, action, to) {
    const { p_wrong, suggested, p_suggested } = this.columns, right = 1 - p_wrong[row];
    if (action === "drop") { sums.dropped++; sums.droppedRight += right; sums.removed += p_wrong[row]; return; }
    sums.relabelled++;
    if (to !== suggested[row]) { sums.unknown++; sums.removed += p_wrong[row]; return; }
    sums.putRight += p_suggested[row];
    sums.spoilt += right;
    sums.stillWrong += Math.max(0, 1 - p_suggested[row] - right);
    sums.removed += p_wrong[row] - Math.max(right, 1 - p_suggested[row]);
  }
  describe() {
    const { relabelled, putRight, spoilt, stillWrong, unknown, dropped, droppedRight, removed } = this.total, parts = [];
    if (relabelled)
      parts.push(`Of ${plural(relabelled, "label")} changed, expect ${whole(putRight)} put right, ${whole(spoilt)} spoilt (right before the change) and `
        + `${whole(stillWrong)} still wrong${unknown ? `; ${grouped(unknown)} get a label of unknown probability` : ""}.`);
    if (dropped) parts.push(`Of ${plural(dropped, "sample")} dropped, expect ${whole(dropped - droppedRight)} with a wrong label and ${whole(droppedRight)} with a right one.`);
    if (!parts.length) return "";
    parts.push(`Wrong labels in all: about ${whole(this.before)} before, ${whole(this.before - removed)} after.`);
    if (spoilt > putRight) parts.push("This spoils more labels than it puts right.");
    if (this.tooFew) parts.push(`Of the labels changed, ${grouped(this.tooFew)} are in classes too small to tell.`);
    if (about.trust < 1) parts.push(`Trust in the ledger is ${Math.round(100 * about.trust)}%: more may be spoilt.`);
    return parts.join(" ");
  }
  // A table of the classes whose labels change, those with most changes first; null if there are none.
  table() {
    const rows = [...this.byClass].filter(([, sums]) => sums.relabelled).sort((a, b) => b[1].relabelled - a[1].relabelled);
    if (!rows.length) return null;
    const head = ["given label", "changed", "put right", "spoilt", "still wrong"].map((name, at) => make("th", { scope: "col", class: at ? "n" : null }, name));
    const body = rows.slice(0, FORECAST_CLASSES).map(([code, { relabelled, putRight, spoilt, stillWrong }]) =>
      make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, labelText(code))), make("td", { class: "n" }, grouped(relabelled)),
        ...[putRight, spoilt, stillWrong].map((value) => make("td", { class: "n" }, value.toFixed(1)))));
    const more = rows.length - body.length;
    return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body, more > 0 ? make("tr", {}, make("td", {}, `… ${grouped(more)} more`)) : null));
  }
}

const whole = (value) => grouped(Math.round(value));
