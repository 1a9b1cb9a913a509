// The page that compares any two entries: loads what is published of them, compares, draws, and keeps its state in the
// address. All text goes in as text; names are those of the lists, in which hidden characters are visible already.
"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const read = (id) => JSON.parse(element(id).textContent);
  const tiers = read("tiers");
  const [base, candidate, task] = ["base", "candidate", "task"].map(element);
  const top = document.querySelector("link[rel=icon]").getAttribute("href").replace("static/icon.svg", "");
  let request = 0;
  let charts = [];

  // Numbers, written as the pages of neighbours write them: halves that are exact go to the even side.
  function fixed(value, digits) {
    const scale = 10 ** digits;
    const isTie = Math.abs(value * 2 ** (digits + 1)) % 2 === 1;
    if (!isTie) return value.toFixed(digits);
    const lower = Math.floor(value * scale);
    return ((lower % 2 === 0 ? lower : lower + 1) / scale).toFixed(digits);
  }

  function signed(value) {
    const text = fixed(Math.abs(value), 1);
    return (value < 0 ? "−" : "+") + text;
  }

  const percent = (share) => `${fixed(100 * share, 1)}%`;

  function probability(p) {
    if (p === undefined) return "";
    return p < 0.001 ? "<.001" : fixed(Number(p.toPrecision(10)), 3);
  }

  // Making elements.
  function node(name, className, ...children) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  function withInterval(text, interval) {
    return node("td", "num", text, node("span", "interval", interval));
  }

  function shareCell(counts) {
    if (!counts) return node("td", "num");
    const [low, high] = window.holdfastStatistics.wilson(...counts);
    return withInterval(percent(counts[0] / counts[1]), `[${percent(low)}, ${percent(high)}]`);
  }

  function differenceCell(row) {
    if (row.difference === undefined) return node("td", "num", `z ${signed(row.statistic)}`);
    const [low, high] = row.interval;
    return withInterval(signed(100 * row.difference), `[${signed(100 * low)}, ${signed(100 * high)}]`);
  }

  function place(row) {
    if (row.tier === null) return "whole curve";
    return row.tier === 0 ? "no attack" : row.tierText;
  }

  function tableRow(row) {
    const where = node("th", "", place(row));
    where.scope = "row";
    return node(
      "tr",
      "",
      where,
      shareCell(row.base),
      shareCell(row.candidate),
      differenceCell(row),
      node("td", "num", row.lost === undefined ? "" : `${row.lost} / ${row.gained}`),
      node("td", "num", probability(row.p)),
      node("td", "num", probability(row.adjusted)),
      node("td", "", node("span", `badge ${row.verdict.replaceAll(" ", "-")}`, row.verdict)),
    );
  }

  function tableBody(rows) {
    const body = node("tbody", "", ...rows.map(tableRow));
    const attack = node("th", "", rows[0].label);
    attack.scope = "rowgroup";
    attack.rowSpan = rows.length;
    body.rows[0].prepend(attack);
    return body;
  }

  // In sentences.
  function summary(rows) {
    const tested = rows.filter((row) => row.adjusted !== undefined);
    const count = (verdict) => tested.filter((row) => row.verdict === verdict).length;
    const lacking = rows.length - tested.length;
    const found = tested.length
      ? `In ${tested.length} tests, the candidate is better in ${count("improved")} and worse in ` +
        `${count("regressed")} by more than chance allows.`
      : "Nothing could be tested.";
    return lacking ? `${found} ${lacking} more could not be made: see the notes.` : found;
  }

  // Each reason for what is missing or not comparable, with the places that have no figures because of it.
  function notes(rows) {
    const found = new Map();
    for (const row of rows.filter((each) => each.reason)) {
      const said = `${row.verdict[0].toUpperCase()}${row.verdict.slice(1)}: ${row.reason}`;
      if (!found.has(said)) found.set(said, []);
      if (row.p === undefined) found.get(said).push(row.label + (row.tier === null ? "" : ` at ${place(row)}`));
    }
    return [...found].map(([said, places]) => said + (places.length ? ` (${places.join(", ")}).` : "."));
  }

  function caption(rows) {
    const [row] = rows;
    if (!row.unpaired) return `${row.examples} examples in common. Shares are robust accuracy at that much GPU time per example, with 95\u00a0% intervals.`;
    const counts = `${row.base[1]} examples of the base, ${row.candidate[1]} of the candidate`;
    return `${counts}, not known to be the same. Shares are robust accuracy at that much GPU time per example, with 95\u00a0% intervals.`;
  }

  // A task: its table, its notes and its chart.
  function taskSection(name, rows, number) {
    const section = element("task-template").content.cloneNode(true).firstElementChild;
    const heading = section.querySelector("h2");
    heading.textContent = [...task.options].find((option) => option.value === name)?.text ?? name;
    heading.id = `task-${number}`;
    section.querySelector(".scroll").setAttribute("aria-labelledby", heading.id);
    const shown = rows.filter((row) => row.p !== undefined);
    const table = section.querySelector("table");
    if (shown.length) {
      table.caption.textContent = caption(shown);
      for (const attack of new Set(shown.map((row) => row.attack))) {
        table.append(tableBody(shown.filter((row) => row.attack === attack)));
      }
    } else table.parentElement.remove();
    const figure = section.querySelector("figure");
    figure.before(...notes(rows).map((note) => node("p", "small soft", note)));
    return section;
  }

  // Scripts are loaded once; a file that is not there may be asked for again.
  const scripts = new Map();
  function loadScript(path) {
    if (!scripts.has(path)) {
      const loading = new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = top + path;
        script.onload = resolve;
        script.onerror = () => {
          scripts.delete(path);
          reject(new Error(path));
        };
        document.head.append(script);
      });
      scripts.set(path, loading);
    }
    return scripts.get(path);
  }

  const records = new Map();
  window.holdfastRecords = (slug, record) => records.set(slug, record);

  async function load(slug) {
    await loadScript(`data/records/${slug}.js`);
    return records.get(slug);
  }

  // The same chart that the pages of neighbours have, from its declaration.
  function curvesOf(name, sides) {
    const tasks = sides.map((side) => side.record.tasks.find((each) => each.name === name));
    if (!tasks.every(Boolean)) return null;
    const [ours, theirs] = tasks.map((each) => new Map(each.curves));
    const attack = [...ours.keys()].find((key) => theirs.has(key));
    if (!attack) return null;
    const points = sides.flatMap(({ side: slug, name: entry }) => {
      const curve = (slug === "base" ? ours : theirs).get(attack);
      const bound = curve.some((point) => point[4]);
      return curve.map(([cost, value, low, high]) => ({ slug, name: entry, cost, value, low, high, bound }));
    });
    return { attack: chartedAttack(attack, tasks), points };
  }

  function chartedAttack(key, tasks) {
    const named = (each) => `${each.attack}-${each.position}` === key;
    return [...tasks[0].measured, ...tasks[0].reported].find(named)?.label ?? key.replaceAll("-", " ");
  }

  async function drawChart(section, name, sides, current) {
    const curves = curvesOf(name, sides);
    if (!curves) return;
    try {
      await loadScript("static/vega.js");
    } catch {
      return; // The tables say everything.
    }
    if (current !== request) return;
    const figure = section.querySelector("figure");
    figure.hidden = false;
    figure.querySelector(".charted").textContent = curves.attack;
    const made = await window.vegaEmbed(figure.querySelector(".chart"), read("chart"), {
      ast: true,
      actions: false,
      renderer: "svg",
      defaultStyle: false,
      tooltip: { disableDefaultStyle: true },
    });
    if (current !== request) {
      made.view.finalize();
      return;
    }
    charts.push(made.view);
    await made.view.data("curves", curves.points).runAsync();
    figure.dataset.drawn = name;
  }

  // The whole.
  function say(...children) {
    element("status").replaceChildren(node("p", "", ...children));
  }

  function clear() {
    for (const chart of charts) chart.finalize();
    charts = [];
    element("result").replaceChildren();
    element("caution").hidden = true;
  }

  const nameOf = (select) => select.selectedOptions[0].text;
  const chosen = () => base.value && candidate.value && base.value !== candidate.value;

  async function draw() {
    request += 1;
    const current = request;
    clear();
    if (!chosen()) {
      say(base.value && base.value === candidate.value ? "Choose two different entries." : "Choose two entries.");
      return;
    }
    say("Loading the results of both.");
    let sides;
    try {
      sides = await Promise.all([base, candidate].map(async (select) => {
        return { side: select.id, name: nameOf(select), record: await load(select.value) };
      }));
    } catch (error) {
      if (current === request) say(`The data of an entry could not be loaded (${error.message}).`);
      return;
    }
    if (current === request) show(sides, current);
  }

  function show(sides, current) {
    const { rows, added } = window.holdfastCompare(sides[0].record, sides[1].record, tiers);
    const [before, now] = sides.map((side) => node("strong", "name", side.name));
    say(now, " against ", before, `: ${summary(rows)}`);
    warn(rows, sides);
    const names = [...new Set(rows.map((row) => row.task))].filter((name) => !task.value || name === task.value);
    const sections = names.map((name, number) => taskSection(name, rows.filter((row) => row.task === name), number + 1));
    element("result").replaceChildren(...sections);
    if (!sections.length) element("result").append(node("p", "", "The base has no results on this task."));
    if (added.length) {
      element("result").append(node("p", "small soft", `Only in the candidate, so not compared: ${added.join(", ")}.`));
    }
    sections.forEach((section, number) => drawChart(section, names[number], sides, current));
  }

  function warn(rows, sides) {
    if (!rows.some((row) => row.unpaired)) return;
    const isMeasured = ({ record }) => record.tasks.some((each) => each.measured.length);
    const mixed = sides.filter(isMeasured).length === 1;
    element("caution").textContent =
      (mixed ? "One of these entries has published figures only" : "These entries have published figures only") +
      ", without results per example. They are compared as two proportions. Nothing says that their examples are " +
      "the same, so a difference may come from the data alone.";
    element("caution").hidden = false;
  }

  // The address.
  function writeAddress() {
    const parameters = new URLSearchParams();
    for (const select of [base, candidate, task]) if (select.value) parameters.set(select.id, select.value);
    const query = parameters.toString();
    try {
      history.replaceState(null, "", query ? `?${query}` : location.pathname);
    } catch {
      // Some browsers allow no state on file: pages; the comparison works without.
    }
  }

  // What the address names and the page does not have, in words.
  function readAddress() {
    const parameters = new URLSearchParams(location.search);
    return [base, candidate, task].filter((select) => {
      const wanted = parameters.get(select.id) ?? "";
      select.value = wanted;
      if (select.value === wanted) return false;
      select.value = "";
      return true;
    });
  }

  function change() {
    writeAddress();
    draw();
  }

  element("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const select of [base, candidate, task]) select.addEventListener("change", change);
  element("swap").addEventListener("click", () => {
    [base.value, candidate.value] = [candidate.value, base.value];
    change();
  });

  const unknown = readAddress().map((select) => select.id);
  if (unknown.length) {
    say(`The link names a ${unknown.join(" and a ")} that this site does not have: choose from the lists.`);
  } else draw();
})();
