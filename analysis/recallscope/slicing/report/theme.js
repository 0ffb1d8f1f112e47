"use strict";
// Theme: the system's, or light or dark by the button. Everything in CSS follows color-scheme; figures listen to the event.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const order = ["system", "light", "dark"];

  function stored() {
    try { return localStorage.getItem("recallscope-theme"); } catch { return null; }  // refused for some local files
  }

  function choose(name, remember) {
    if (name === "system") delete root.dataset.theme;
    else root.dataset.theme = name;
    button.textContent = `Theme: ${name}`;
    if (remember) try { localStorage.setItem("recallscope-theme", name); } catch { /* only for this visit, then */ }
    document.dispatchEvent(new CustomEvent("theme"));
  }

  window.darkTheme = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  button.addEventListener("click", () => {
    const now = order.indexOf(root.dataset.theme || "system");
    choose(order[(now + 1) % order.length], true);
  });
  system.addEventListener("change", () => document.dispatchEvent(new CustomEvent("theme")));
  choose(order.includes(stored()) ? stored() : "system", false);
})();
