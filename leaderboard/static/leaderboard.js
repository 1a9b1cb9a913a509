// The leaderboard's table: views, sorting, filters, columns, downloads and the chart, with its state in the address.
// The table comes drawn; this script redraws cells from the data in the page and moves rows that are there already.
"use strict";
(() => {
  const BOUND = 1;
  const PREVIEW = 2;
  const LEVELS = ["reported", "scored", "replayed", "reproduced"];
  const MOST_PICKED = 8;
  const MOST_ROWS = 150; // More take longer to lay out than a reader waits; a button shows the rest.
  const ORDER = { rank: 1, name: 1, family: 1, size: 1, defence: 1, flags: -1, evidence: -1, date: -1, median: -1 };

  const top = document.querySelector("link[rel=icon]").getAttribute("href").replace("static/icon.svg", "");
  const element = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(element(id).textContent);
  const data = read("data");
  const table = element("table");
  const body = table.tBodies[0];
  const headers = [...table.tHead.querySelectorAll("th[data-column]")];
  const columns = headers.map((header) => header.dataset.column);
  const controls = ["attack", "axis", "tier", "search", "family", "size", "defence", "evidence"];
  const initial = {
    attack: data.attacks.length ? element("attack").value : "",
    axis: "absolute",
    tier: String(data.tier),
    search: "",
    family: "",
    size: "",
    defence: "",
    evidence: "",
    sort: "rank",
    hide: headers.filter((header) => header.hidden).map((header) => header.dataset.column).join(" "),
    pick: data.picked.join(" "),
  };
  const state = { ...initial };

  // Rows: those of the default view lie in the page; entries that only other views have get theirs here.
  const rows = new Map([...body.rows].map((row) => [row.dataset.slug, row]));
  for (const entry of data.entries) if (!rows.has(entry.slug)) rows.set(entry.slug, newRow(entry));
  const place = new Map(data.entries.map((entry, number) => [entry.slug, number]));

  function newRow(entry) {
    const row = body.rows[0] ? body.rows[0].cloneNode(true) : emptyRow();
    row.dataset.slug = entry.slug;
    const [pick, , name, family, size, defence] = row.cells;
    pick.querySelector("input").setAttribute("aria-label", `Pick out ${entry.name} in the chart`);
    const link = name.querySelector("a");
    link.textContent = entry.name;
    link.href = link.getAttribute("href").replace(/[^/]*$/, `${entry.slug}.html`);
    family.firstElementChild.textContent = entry.family;
    size.textContent = short(entry.size);
    size.title = entry.size.toLocaleString("en");
    defence.textContent = entry.defence.replaceAll("-", " ");
    row.cells[columns.indexOf("date") + 1].textContent = entry.date;
    return row;
  }

  function emptyRow() {
    const row = document.createElement("tr");
    row.append(node("td", node("input")), node("td"), node("th", node("a")), node("td", node("span")));
    for (let number = 4; number <= columns.length; number += 1) row.append(node("td"));
    row.querySelector("input").type = "checkbox";
    row.querySelector("a").setAttribute("href", `${top}entries/`);
    return row;
  }

  function node(name, ...children) {
    const made = document.createElement(name);
    made.append(...children);
    return made;
  }

  // Numbers, written as the page writes them.
  const percent = (tenths) => `${Math.floor(tenths / 10)}.${tenths % 10}%`;
  const shareText = (share) => (share[3] & BOUND ? "≤ " : "") + percent(share[0]);

  function short(number) {
    for (const [size, unit] of [[1e12, "t"], [1e9, "b"], [1e6, "m"], [1e3, "k"]]) {
      if (number >= size * 0.9995) return Number((number / size).toPrecision(3)) + unit;
    }
    return String(number);
  }

  // What the current view says of an entry.
  const attackNumber = () => data.attacks.findIndex(([key]) => key === state.attack);

  function shareOf(cell) {
    const shares = cell && (state.axis === "relative" ? cell[2] : cell[1]);
    return shares ? shares[Number(state.tier)] : null;
  }

  function viewOf(entry) {
    const cell = data.cells[attackNumber()]?.[place.get(entry.slug)] ?? null;
    return { entry, cell, share: shareOf(cell) };
  }

  function passes({ entry, cell, share }) {
    if (!cell || !share) return false;
    const text = `${entry.name} ${entry.family} ${entry.slug} ${entry.defence}`.toLowerCase();
    if (state.search && !text.includes(state.search.toLowerCase())) return false;
    if (state.family && entry.family !== state.family) return false;
    if (state.defence && entry.defence !== state.defence) return false;
    if (state.size) {
      const [low, high] = state.size.split("-").map(Number);
      if (!(entry.size >= low && entry.size < high)) return false;
    }
    if (state.evidence === "reported") return cell[7] === "reported";
    return !state.evidence || LEVELS.indexOf(cell[7]) >= LEVELS.indexOf(state.evidence);
  }

  function sortValue(view, column) {
    const { entry, cell, share } = view;
    switch (column) {
      case "rank": return share[4] ?? Infinity;
      case "clean": return cell[0][0];
      case "robust": return share[0];
      case "median": return cell[4] ?? -1;
      case "area": return cell[5] === null ? -1 : Number(cell[5]);
      case "examples": return cell[6];
      case "evidence": return LEVELS.indexOf(cell[7]);
      case "flags": return cell[8].length;
      default: return entry[column];
    }
  }

  function compare(one, other) {
    const down = state.sort.startsWith("-");
    const column = down ? state.sort.slice(1) : state.sort;
    const [a, b] = [sortValue(one, column), sortValue(other, column)];
    const order = typeof a === "string" ? a.localeCompare(b, "en") : a === b ? 0 : a < b ? -1 : 1;
    return (down ? -order : order) || other.share[0] - one.share[0] || (one.entry.slug < other.entry.slug ? -1 : 1);
  }

  // Drawing.
  function drawCells(view, ranks) {
    const { cell, share, entry } = view;
    const cells = rows.get(entry.slug).cells;
    const at = (column) => cells[columns.indexOf(column) + 1];
    drawRank(at("rank"), share, ranks);
    at("clean").textContent = percent(cell[0][0]);
    drawShare(at("robust"), share);
    at("median").textContent = cell[3][state.axis === "relative" ? 1 : 0];
    at("area").textContent = cell[5] ?? "";
    at("examples").textContent = cell[6];
    const badge = node("span", cell[7]);
    badge.className = `badge ${cell[7]}`;
    at("evidence").replaceChildren(badge);
    at("flags").replaceChildren(...cell[8].map(flagNode));
  }

  function drawRank(cell, share, ranks) {
    if (share[4] != null) {
      cell.textContent = share[4] + (ranks.get(share[4]) > 1 ? "=" : "");
      return;
    }
    const preview = share[3] & PREVIEW;
    const mark = node("span", preview ? "preview" : "–");
    mark.className = preview ? "badge preview" : "soft";
    cell.replaceChildren(mark);
  }

  function drawShare(cell, share) {
    let bar = cell.querySelector("svg");
    if (!bar) {
      bar = body.querySelector("svg.bar")?.cloneNode(true) ?? document.createElementNS("http://www.w3.org/2000/svg", "svg");
    }
    const [, range, point] = bar.querySelectorAll("rect");
    if (range) {
      range.setAttribute("x", (share[1] / 10).toFixed(1));
      range.setAttribute("width", Math.max((share[2] - share[1]) / 10, 0.5).toFixed(1));
      point.setAttribute("x", Math.max(share[0] / 10 - 0.75, 0).toFixed(1));
    }
    const interval = node("span", `[${percent(share[1])}, ${percent(share[2])}]`);
    interval.className = "interval";
    cell.replaceChildren(shareText(share), interval, bar);
  }

  function flagNode([flag, explanation]) {
    const made = node("span", `⚑ ${flag} `);
    made.className = "flag";
    made.title = explanation;
    return made;
  }

  function shownViews() {
    return data.entries.map(viewOf).filter(passes).sort(compare);
  }

  function ranksIn() {
    const counts = new Map();
    for (const entry of data.entries) {
      const rank = viewOf(entry).share?.[4];
      if (rank != null) counts.set(rank, (counts.get(rank) ?? 0) + 1);
    }
    return counts;
  }

  // What each row shows: a view, and the columns that are hidden. Rows are drawn when they come into the table.
  const initialView = `${initial.attack} ${initial.axis} ${initial.tier}`;
  const drawnViews = new Map([...body.rows].map((row) => [row.dataset.slug, initialView]));
  const drawnColumns = new Map([...body.rows].map((row) => [row.dataset.slug, initial.hide]));
  let everyRow = false;

  function draw() {
    const views = shownViews();
    const view = `${state.attack} ${state.axis} ${state.tier}`;
    const hidden = new Set(state.hide.split(" "));
    const shown = everyRow ? views : views.slice(0, MOST_ROWS);
    const ranks = ranksIn();
    for (const each of shown) {
      const { slug } = each.entry;
      if (drawnViews.get(slug) !== view) drawCells(each, ranks);
      if (drawnColumns.get(slug) !== state.hide) hideCells(rows.get(slug), hidden);
      drawnViews.set(slug, view);
      drawnColumns.set(slug, state.hide);
    }
    body.replaceChildren(...shown.map(({ entry }) => rows.get(entry.slug)));
    drawHeaders(hidden);
    const ranked = views.filter(({ share }) => share[4] != null).length;
    const all = data.entries.length;
    const of = views.length === all ? "" : ` of ${all}`;
    element("status").textContent = `${views.length}${of} entries; ${ranked} ranked.`;
    element("at").textContent = data.tiers[state.axis][Number(state.tier)]?.[1] ?? "";
    element("more").hidden = shown.length === views.length;
    element("more").textContent = `Show all ${views.length} entries; here are the first ${shown.length}`;
    drawLegend();
  }

  function hideCells(row, hidden) {
    columns.forEach((column, number) => {
      row.cells[number + 1].hidden = hidden.has(column);
    });
  }

  function drawHeaders(hidden) {
    const down = state.sort.startsWith("-");
    const column = down ? state.sort.slice(1) : state.sort;
    for (const header of headers) {
      if (header.dataset.column === column) header.setAttribute("aria-sort", down ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
      header.hidden = hidden.has(header.dataset.column);
    }
    for (const box of document.querySelectorAll("[name=column]")) box.checked = !hidden.has(box.value);
  }

  // The chart: the same declaration that was drawn into the page, with the curves of the current view.
  const picked = () => state.pick.split(" ").filter((slug) => place.has(slug));

  function drawLegend() {
    const items = picked().map((slug, number) => {
      const key = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      key.setAttribute("viewBox", "0 0 16 7");
      key.setAttribute("aria-hidden", "true");
      const stroke = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, value] of [["y", 2], ["width", 16], ["height", 3], ["fill", `var(--c${number + 1})`]]) {
        stroke.setAttribute(name, value);
      }
      key.append(stroke);
      const link = node("a", data.entries[place.get(slug)].name);
      link.className = "name";
      link.href = rows.get(slug).querySelector("a").href;
      return node("li", key, " ", link);
    });
    element("legend").replaceChildren(...items);
    const chosen = new Set(picked());
    for (const row of body.rows) row.querySelector("[name=pick]").checked = chosen.has(row.dataset.slug);
  }

  let curves = null;
  let chart = null;
  let chartView = "";

  window.holdfastCurves = (loaded) => {
    curves = loaded;
  };

  function loadScript(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${address} cannot be loaded`));
      document.head.append(script);
    });
  }

  let loading = null;

  function loadChart() {
    loading ??= Promise.all([
      loadScript(`${top}static/vega.js`),
      loadScript(`${top}data/curves/${data.task}.js`),
    ]);
    return loading;
  }

  async function drawChart() {
    if (!data.entries.length) return;
    try {
      await loadChart();
    } catch {
      return; // The drawn chart stays.
    }
    const shown = new Set(shownViews().map(({ entry }) => entry.slug));
    const names = new Map(data.entries.map((entry) => [entry.slug, entry.name]));
    const points = [];
    for (const [slug, each] of Object.entries(curves[state.attack] ?? {})) {
      if (!shown.has(slug) && !picked().includes(slug)) continue;
      const bound = each[state.axis].some((point) => point[4]);
      for (const [cost, value, low, high] of each[state.axis]) {
        points.push({ slug, name: names.get(slug), cost, value: value / 10, low: low / 10, high: high / 10, bound });
      }
    }
    if (chartView !== state.axis) {
      chart?.finalize();
      const made = await window.vegaEmbed("#chart", read(`chart-${state.axis}`), {
        ast: true,
        actions: false,
        renderer: "svg",
        defaultStyle: false,
        tooltip: { disableDefaultStyle: true },
      });
      chart = made.view;
      chartView = state.axis;
    }
    element("chart-attack").textContent = data.attacks[attackNumber()][1];
    await chart.signal("chosen", picked()).data("curves", points).runAsync();
    element("chart").dataset.drawn = `${state.attack} ${state.axis} ${state.pick}`;
  }

  // The address holds what differs from the page as it comes.
  function writeAddress() {
    const parameters = new URLSearchParams();
    for (const [key, value] of Object.entries(state)) if (value !== initial[key]) parameters.set(key, value);
    const query = parameters.toString();
    try {
      history.replaceState(null, "", (query ? `?${query}` : location.pathname) + location.hash);
    } catch {
      // Some browsers allow no state on file: pages; the table works without.
    }
  }

  function readAddress() {
    const parameters = new URLSearchParams(location.search);
    for (const key of Object.keys(state)) if (parameters.has(key)) state[key] = parameters.get(key);
    if (!data.tiers[state.axis]) state.axis = initial.axis;
    if (attackNumber() < 0) state.attack = initial.attack;
    if (!columns.includes(state.sort.replace(/^-/, ""))) state.sort = initial.sort;
    if (!parameters.has("tier") || !data.tiers[state.axis][Number(state.tier)]) state.tier = firstTier();
  }

  // 10,000 forward passes are about as many iterations of GCG as its papers run.
  const firstTier = () => (state.axis === "absolute" ? initial.tier : "2");

  function fillTiers() {
    const options = data.tiers[state.axis].map(([, text], number) => {
      const option = node("option", text);
      option.value = String(number);
      return option;
    });
    element("tier").replaceChildren(...options);
  }

  function writeControls() {
    fillTiers();
    for (const id of controls) {
      element(id).value = state[id];
      if (element(id).value !== state[id]) state[id] = element(id).value = initial[id];
    }
  }

  const CHART_KEYS = ["attack", "axis", "pick", "search", "family", "size", "defence", "evidence"];

  function change(changes) {
    Object.assign(state, changes);
    draw();
    writeAddress();
    if (Object.keys(changes).some((key) => CHART_KEYS.includes(key))) drawChart();
  }

  // Downloads: what is shown, in the order shown.
  function download(name, type, text) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function shownFigures() {
    const [cost] = data.tiers[state.axis][Number(state.tier)];
    return shownViews().map(({ entry, cell, share }) => ({
      rank: share[4] ?? null,
      slug: entry.slug,
      name: entry.name,
      family: entry.family,
      parameters: entry.size,
      defence: entry.defence,
      attack: state.attack,
      axis: state.axis,
      cost,
      clean_accuracy: cell[0][0] / 1000,
      robust_accuracy: share[0] / 1000,
      low: share[1] / 1000,
      high: share[2] / 1000,
      bound: Boolean(share[3] & BOUND),
      preview: Boolean(share[3] & PREVIEW),
      median_break_cost: cell[3][state.axis === "relative" ? 1 : 0],
      area_under_curve: cell[5] === null ? null : Number(cell[5]),
      examples: cell[6],
      evidence: cell[7],
      flags: cell[8].map(([flag]) => flag).join(" "),
      submitted: entry.date,
    }));
  }

  function csvField(value) {
    let text = value === null ? "" : String(value);
    // A spreadsheet would take these for formulas.
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  function csv(figures) {
    if (!figures.length) return "";
    const lines = [Object.keys(figures[0]), ...figures.map(Object.values)];
    return lines.map((line) => line.map(csvField).join(",")).join("\r\n") + "\r\n";
  }

  // Wiring.
  function sortBy(column) {
    const first = ORDER[column] === 1 ? column : `-${column}`;
    const other = first.startsWith("-") ? column : `-${column}`;
    change({ sort: state.sort === first ? other : first });
  }

  for (const header of headers) {
    const button = node("button", ...header.childNodes);
    button.type = "button";
    button.addEventListener("click", () => sortBy(header.dataset.column));
    header.append(button);
  }
  for (const id of controls) {
    element(id).addEventListener(id === "search" ? "input" : "change", () => {
      if (id === "axis") {
        state.axis = element("axis").value;
        fillTiers();
        element("tier").value = firstTier();
        change({ axis: state.axis, tier: firstTier() });
      } else {
        change({ [id]: element(id).value });
      }
    });
  }
  for (const box of document.querySelectorAll("[name=column]")) {
    box.addEventListener("change", () => {
      const hidden = new Set(state.hide.split(" ").filter(Boolean));
      if (box.checked) hidden.delete(box.value);
      else hidden.add(box.value);
      change({ hide: columns.filter((column) => hidden.has(column)).join(" ") });
    });
  }
  body.addEventListener("change", (event) => {
    if (event.target.name !== "pick") return;
    const { slug } = event.target.closest("tr").dataset;
    const others = picked().filter((each) => each !== slug);
    change({ pick: [...others, ...(event.target.checked ? [slug] : [])].slice(-MOST_PICKED).join(" ") });
  });
  element("controls").addEventListener("submit", (event) => event.preventDefault());
  element("reset").addEventListener("click", (event) => {
    event.preventDefault();
    Object.assign(state, initial);
    writeControls();
    change({ ...initial });
  });
  element("more").addEventListener("click", () => {
    const next = body.rows.length;
    everyRow = true;
    draw();
    body.rows[next]?.querySelector("a").focus();
  });
  element("csv").addEventListener("click", () => download(`${data.task}.csv`, "text/csv", csv(shownFigures())));
  element("json").addEventListener("click", () => {
    download(`${data.task}.json`, "application/json", JSON.stringify(shownFigures(), null, 2));
  });

  readAddress();
  if (data.attacks.length) {
    writeControls();
    draw();
  }
  document.documentElement.dataset.ready = "true";

  // The interactive chart is large: it comes when it is looked at, or when something about it is chosen.
  const differs = CHART_KEYS.some((key) => state[key] !== initial[key]);
  if (differs) drawChart();
  else {
    for (const event of ["pointerenter", "focusin"]) {
      element("chart").addEventListener(event, drawChart, { once: true });
    }
  }
})();
