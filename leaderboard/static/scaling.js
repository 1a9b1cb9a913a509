"use strict";

// The success rate of the second figure: every chart and table for it lies in the page, and one of them is shown.
(() => {
  const select = document.getElementById("success-rate");
  if (!select) return;

  const show = () => {
    for (const view of document.querySelectorAll("[data-rate]")) {
      view.hidden = view.dataset.rate !== select.value;
    }
  };

  const remember = () => {
    const url = new URL(location.href);
    url.searchParams.set("asr", select.value);
    // Pages opened from a file may not be allowed to change their address.
    try {
      history.replaceState(null, "", url);
    } catch {
      return;
    }
  };

  const asked = new URLSearchParams(location.search).get("asr");
  if ([...select.options].some((option) => option.value === asked)) select.value = asked;
  select.addEventListener("change", () => {
    show();
    remember();
  });
  show();
})();
