// One decision for all listed samples, as one undo step.

class Together {
  constructor(app) {
    this.app = app;
    this.place = byId("together");
    const { columns } = app;
    byId("all-to")?.append(labelField("all-label", "New label of all"));
    if (!columns.label || !(columns.suggested ?? (about.classes && columns.predicted))) byId("all-suggested")?.closest("label").remove();
    this.place.addEventListener("input", () => this.tell());
    this.place.querySelector("form").addEventListener("submit", (event) => { if (event.submitter?.value === "decide") this.apply(); });
  }
  open() {
    // A decision for all is chosen each time, so that none is taken by habit.
    for (const choice of this.place.querySelectorAll("[name=all]")) choice.checked = false;
    this.tell();
    this.place.showModal();
  }
  // The changes, [row, before, after]. Samples to which the decision does not apply are left out.
  changes() {
    const { list, decisions } = this.app, what = this.place.querySelector("[name=all]:checked")?.value;
    if (!what) return [];
    const decided = byId("all-decided").checked || what === "clear", found = [];
    for (const row of list.rows) {
      const before = decisions.get(row);
      if (before && !decided) continue;
      const after = this.decision(what, row);
      if (after !== null && !same(before, after)) found.push([row, before, after]);
    }
    return found;
  }
  // null if the decision does not apply.
  decision(what, row) {
    const { label } = this.app.columns;
    if (what === "clear") return undefined;
    if (what === "suggested" || what === "to") {
      if (what === "suggested" && !this.advised(row)) return null;
      const value = byId("all-label").value, other = what === "to" ? Number(value) : this.app.likely(row);
      if (what === "to" && (value === "" || !Number.isFinite(other))) return null;
      if (other !== label[row]) return { action: "relabel", label: other };
      return what === "to" ? { action: "keep" } : null;
    }
    return { action: what };
  }
  // Whether the suggested label is a gain in expectation. Without probabilities nobody can tell.
  advised(row) {
    const { advised } = this.app.columns;
    return !advised || advised[row] === 1;
  }
  tell() {
    const changes = this.changes(), changed = changes.length, { rows } = this.app.list, listed = rows.length;
    byId("all-listed").textContent = `${countRows(listed)} ${listed === 1 ? "is" : "are"} listed.`;
    const forecast = new Forecast(this.app.columns, changes), table = forecast.table();
    byId("all-forecast").textContent = forecast.describe();
    byId("all-by-class").replaceChildren(...(table ? [table] : []));
    byId("all-go").textContent = changed ? `Decide for ${grouped(changed)}` : this.place.querySelector("[name=all]:checked") ? "Nothing to decide" : "Choose a decision";
    byId("all-go").disabled = !changed;
  }
  apply() {
    const changes = this.changes();
    this.app.decisions.step(changes);
    byId("said").textContent = `Decided for ${countRows(changes.length)}; Z undoes it`;
  }
}
