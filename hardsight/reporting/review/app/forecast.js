// What changes of labels are expected to do if nobody looks, by P(label wrong) and P(suggested): as in
// hardsight/difficulty/forecast.py.

const EFFECTS_SHOWN = 200;

class Forecast {
  // changes: [row, before, after]. Empty if P(label wrong) is unknown.
  constructor(columns, changes) {
    Object.assign(this, { columns, effects: new Map(), total: Forecast.empty(), tooFew: 0 });
    if (!columns.p_wrong || !columns.suggested || !about.classes) return;
    for (const [row, , after] of changes) if (after) this.add(row, after);
    this.before = columns.p_wrong.reduce((sum, p) => sum + p, 0);
  }
  static empty() { return { relabelled: 0, putRight: 0, spoilt: 0, stillWrong: 0, unknown: 0, dropped: 0, droppedRight: 0, kept: 0, keptWrong: 0, removed: 0 }; }
  add(row, { action, label: to }) {
    const { label, cause } = this.columns, given = label[row];
    if (action === "unsure" || (action === "relabel" && to === given)) return;
    this.addTo(this.total, row, action, to);
    this.addEffect(row, action, given, to);
    if (action === "relabel" && cause && about.causes[cause[row]] === about.tooFew) this.tooFew++;
  }
  addEffect(row, action, given, to) {
    const { p_wrong, suggested, p_suggested } = this.columns, key = [given, action, to].join();
    if (!this.effects.has(key)) this.effects.set(key, { given, action, to, samples: 0, wrongBefore: 0, wrongAfter: 0, lost: 0, unknown: 0 });
    const effect = this.effects.get(key);
    effect.samples++;
    effect.wrongBefore += p_wrong[row];
    if (action === "keep") { effect.wrongAfter += p_wrong[row]; return; }
    effect.lost += 1 - p_wrong[row];
    if (action === "drop") return;
    if (to === suggested[row]) effect.wrongAfter += Math.max(1 - p_wrong[row], 1 - p_suggested[row]);
    else effect.unknown++;
  }
  addTo(sums, row, action, to) {
    const { p_wrong, suggested, p_suggested } = this.columns, right = 1 - p_wrong[row];
    if (action === "keep") { sums.kept++; sums.keptWrong += p_wrong[row]; return; }
    if (action === "drop") { sums.dropped++; sums.droppedRight += right; sums.removed += p_wrong[row]; return; }
    sums.relabelled++;
    if (to !== suggested[row]) { sums.unknown++; sums.removed += p_wrong[row]; return; }
    sums.putRight += p_suggested[row];
    sums.spoilt += right;
    sums.stillWrong += Math.max(0, 1 - p_suggested[row] - right);
    sums.removed += p_wrong[row] - Math.max(right, 1 - p_suggested[row]);
  }
  describe() {
    const { relabelled, putRight, spoilt, stillWrong, unknown, dropped, droppedRight, kept, keptWrong, removed } = this.total, parts = [];
    if (relabelled)
      parts.push(`Of ${plural(relabelled, "label")} changed, expect ${whole(putRight)} put right, ${whole(spoilt)} spoilt (right before the change) and `
        + `${whole(stillWrong)} still wrong${unknown ? `; ${grouped(unknown)} get a label of unknown probability` : ""}.`);
    if (dropped) parts.push(`Of ${countRows(dropped)} dropped, expect ${whole(dropped - droppedRight)} with a wrong label and ${whole(droppedRight)} with a right one.`);
    const keeping = kept ? `Of ${countRows(kept)} kept, expect ${whole(keptWrong)} with a wrong label.` : "";
    if (!parts.length) return keeping;
    parts.push(`Wrong labels in all: about ${whole(this.before)} before, ${whole(this.before - removed)} after${unknown ? ", without those of unknown probability" : ""}.`);
    if (spoilt > putRight) parts.push("This spoils more labels than it puts right.");
    if (this.tooFew) parts.push(`Of the labels changed, ${grouped(this.tooFew)} are in classes too small to tell.`);
    if (about.trust < 1) parts.push(`Trust in the ledger is ${Math.round(100 * about.trust)}%: more may be spoilt.`);
    return [...parts, keeping].filter(Boolean).join(" ");
  }
  // A table of the effects by given and new label, most samples first; null if there are none.
  table() {
    const rows = [...this.effects.values()].sort((a, b) => b.samples - a.samples);
    if (!rows.length) return null;
    const heads = ["given label", "becomes", about.nouns.rows, "wrong before", "wrong after", "right ones lost"];
    const body = rows.slice(0, EFFECTS_SHOWN).map((effect) => this.effectRow(effect)), more = rows.length - body.length;
    return make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((name, at) => make("th", { scope: "col", class: at > 1 ? "n" : null }, name)))),
      make("tbody", {}, ...body, more > 0 ? make("tr", {}, make("td", { colspan: 6 }, `… ${grouped(more)} more`)) : null));
  }
  effectRow({ given, action, to, samples, wrongBefore, wrongAfter, lost, unknown }) {
    const after = unknown ? `${wrongAfter.toFixed(1)} + ${grouped(unknown)} unknown` : wrongAfter.toFixed(1);
    const cells = [grouped(samples), wrongBefore.toFixed(1), after, lost.toFixed(1)].map((text) => make("td", { class: "n" }, text));
    return make("tr", { class: wrongAfter > wrongBefore ? "missed" : null }, make("th", { scope: "row" }, make("bdi", {}, labelText(given))),
      make("td", {}, action === "relabel" ? make("bdi", {}, labelText(to)) : action === "drop" ? "dropped" : "kept"), ...cells);
  }
}

const whole = (value) => grouped(Math.round(value));
