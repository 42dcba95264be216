"use strict";
const specs = JSON.parse(document.getElementById("specs").textContent);
// "ast" interprets Vega's expressions instead of evaluating text, which the page's content policy forbids.
const options = {
  mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false,
  tooltip: { disableDefaultStyle: true },
};
for (const [name, spec] of Object.entries(specs)) {
  const place = document.getElementById("figure-" + name);
  vegaEmbed(place, spec, options).then(
    () => place.classList.add("drawn"),
    (fault) => {
      place.textContent = "This figure could not be drawn: " + fault.message;
      console.error(fault);
    },
  );
}
