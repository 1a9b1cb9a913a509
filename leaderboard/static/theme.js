// The theme: that of the system, or the one chosen here. Runs before the page is drawn, so that nothing flashes.
"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  const stored = () => {
    try {
      return localStorage.getItem("holdfast-theme") || "system";
    } catch {
      return "system"; // Storage may be forbidden, as on some file: pages.
    }
  };
  const apply = (theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    else delete root.dataset.theme;
  };
  apply(stored());

  document.addEventListener("DOMContentLoaded", () => {
    const select = document.getElementById("theme");
    select.value = stored();
    select.addEventListener("change", () => {
      apply(select.value);
      try {
        localStorage.setItem("holdfast-theme", select.value);
      } catch {
        // The choice holds for this page then.
      }
    });
  });
})();
