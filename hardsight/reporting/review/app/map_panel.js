// The map on the review page: linked to the filters, with ends to type for those who cannot drag, and larger on demand.

class MapPanel {
  constructor(app) {
    this.app = app;
    const { columns, filters } = app;
    this.map = new EmbeddingMap(columns, {
      choose: (i) => { app.choose(i); this.dialog.close(); },
      describe: (i) => this.describe(i),
      selected: (mask, add) => this.select(mask, add),
    });
    this.ends = [["across", "across the map, 0 to 100"], ["up", "up the map, 0 to 100"]].map(([name, title]) => new Ends(name, title, filters, () => app.filter()));
    this.selection = make("p", { class: "soft", role: "status" });
    this.dialog = byId("map-dialog");
    this.enlarger = make("button", { type: "button", id: "map-enlarge" }, "Enlarge");
    this.enlarger.addEventListener("click", () => this.enlarge());
    this.map.place.append(pairOfEnds(this.ends), this.selection, this.enlarger);
    this.place = make("div", {}, this.map.place);
    this.dialog.addEventListener("close", () => { this.place.append(this.map.place); this.enlarger.hidden = false; this.map.resize(MAP_HEIGHT); });
    byId("map-decide").addEventListener("click", () => app.together.open());
  }
  describe(i) {
    const { columns, views } = this.app;
    const picture = make("span", { class: "place" });
    views.source.sample(i).then((shown) => picture.replaceChildren(views.preview(shown, i)), () => {});
    const { p_wrong, p_strange } = columns;
    return [picture, views.verdict(i), make("bdi", { class: "id" }, views.name(i)),
      make("span", {}, [`error ${score(columns.error[i], 2)}`, p_wrong ? `p wrong ${chance(p_wrong[i])}` : "", p_strange && p_strange[i] > 0.5 ? `p strange ${chance(p_strange[i])}` : ""].filter(Boolean).join(", ")),
      views.copyNote(i)].filter(Boolean);
  }
  // The samples inside the lasso are listed; with Shift, in addition to those selected before.
  select(mask, add) {
    const { filters } = this.app, before = filters.area;
    if (mask && add && before) for (let i = 0; i < mask.length; i++) mask[i] |= before[i];
    filters.area = mask;
    if (!mask) { delete filters.ranges.across; delete filters.ranges.up; }
    this.app.filter();
  }
  update(rows) {
    for (const ends of this.ends) ends.show();
    const { area } = this.app.filters;
    this.selection.textContent = area ? `${countRows(rows.length)} in the selection; A decides for all, a click beside the points ends it.` : "";
    this.map.update(rows);
  }
  enlarge() {
    byId("map-place").append(this.map.place);
    this.enlarger.hidden = true;
    this.dialog.showModal();
    this.map.resize(Math.max(220, this.dialog.clientHeight - 215));
  }
  set chosen(i) { this.map.chosen = i; this.map.draw(); }
  repaint() { this.map.repaint(); }
}
