// Starts the report's map. A click leads to the sample on the review page, if there is one, or to its card.

async function startMap() {
  readTheme();
  const columns = await unpackArrays("columns", about.columns);
  const ids = new Pieces(columns, "ids");
  if (columns.copy_set) columns.copies = new Copies(columns.copy_set, columns.label);
  const cards = new Map([...document.querySelectorAll("[data-id]")].map((card) => [card.dataset.id, card]));
  const describe = (i) => [
    make("bdi", { class: "id" }, oneLine(ids.text(i), 60)),
    columns.label ? make("span", {}, `${oneLine(about.labelName, 40)} ${labelText(columns.label[i])}, predicted ${labelText(columns.predicted[i])}`) : "",
    make("span", {}, `error ${number(columns.error[i], 2)}` + (columns.p_wrong ? `, p wrong ${chance(columns.p_wrong[i])}` : "")),
  ].filter(Boolean);
  const choose = (i) => {
    const id = ids.text(i);
    if (about.review) location.href = `${about.review}#id=${encodeURIComponent(id)}`;
    else cards.get(id)?.scrollIntoView({ block: "center" });
  };
  const map = new EmbeddingMap(columns, { choose, describe }, 400);
  byId("figure-map").append(map.place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readTheme(); map.repaint(); });
  byId("figure-map").classList.add("drawn");
}

startMap().catch((fault) => {
  byId("figure-map").textContent = `The map could not be drawn: ${fault.message}`;
  console.error(fault);
});
