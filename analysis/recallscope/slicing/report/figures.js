"use strict";
// Figures: drawn when they come near the window, and again there when the theme has changed.
(() => {
  const { figures, templates } = JSON.parse(document.getElementById("figures-json").textContent);
  const drawn = new Map();  // place -> theme
  const near = new Set();  // places near the window
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: "hover",
    modeBarButtons: [["toImage"]],
    toImageButtonOptions: { format: "svg", filename: "recallscope" },
    doubleClick: "reset",
  };

  // Draws a figure under a theme, unless it stands there under that theme already.
  function draw(place, theme) {
    if (drawn.get(place) === theme) return;
    const { data, layout } = figures[place.dataset.figure];
    // Plotly writes into what it is given; the description stays clean for the next theme.
    const themed = { ...structuredClone(layout), template: templates[theme], autosize: true };
    window.Plotly.react(place, structuredClone(data), themed, config);
    drawn.set(place, theme);
  }
  const current = () => (window.darkTheme() ? "dark" : "light");
  // One figure per task, so that the page itself turns at once.
  const redraw = () => near.forEach((place) => setTimeout(() => draw(place, current())));

  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) near[isIntersecting ? "add" : "delete"](target);
    redraw();
  }, { rootMargin: "300px" });
  const places = document.querySelectorAll(".plot");
  for (const place of places) {
    place.style.minHeight = `${figures[place.dataset.figure].layout.height}px`;
    watch.observe(place);
  }
  document.addEventListener("theme", redraw);
  addEventListener("beforeprint", () => places.forEach((place) => draw(place, "light")));
  addEventListener("afterprint", redraw);
})();
