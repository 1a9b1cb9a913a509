// Only on a site that is served while it is edited: reloads the page when it was built again.
"use strict";
(() => {
  const top = document.querySelector("link[rel=icon]").getAttribute("href").replace("static/icon.svg", "");
  let built = null;
  const look = async () => {
    try {
      const now = await (await fetch(`${top}built`, { cache: "no-store" })).text();
      if (built !== null && now !== built) location.reload();
      built = now;
    } catch {
      // The server is gone or building; the next look will tell.
    }
    setTimeout(look, 700);
  };
  look();
})();
