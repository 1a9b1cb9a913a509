// Turns the pages of the strings that attacks found, filters and searches them. The first page of each list is in the
// document; the rest comes from a script with data when somebody asks for it. All of it is hostile text: nodes are made
// of it with textContent, and nothing is ever parsed as HTML.
"use strict";
(() => {
  const PAGE = 20;
  const lists = new Map(); // by section id
  const texts = new Map(); // by task: excerpts around the slot, by example id

  // What the data files call.
  window.holdfastStrings = (data) => {
    const list = lists.get(data.section);
    if (list) list.data = data;
  };
  window.holdfastTexts = (data) => texts.set(data.task, data.texts);

  const element = (name, className, ...children) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  };

  // Segments: a string as it is, or a pair of what stands in a box and what it means.
  const nodes = (segments) =>
    segments.map((segment) => {
      if (typeof segment === "string") return document.createTextNode(segment);
      const box = element("span", "code", segment[0]);
      box.title = segment[1];
      return box;
    });

  const readable = (segments) =>
    segments.map((segment) => (typeof segment === "string" ? segment : segment.join(" "))).join("");

  const item = (row, data, list) => {
    const [example, answers, cost, string, tokens, id] = row;
    const [truth, before, after] = answers.map((label) => element("b", "hostile", data.labels[label]));
    const outcome = cost ? element("span", "badge regressed", "broken") : element("span", "badge", "held");
    const made = element(
      "li",
      "string",
      element(
        "p",
        "outcome",
        outcome,
        cost ? ` after ${cost}; true label ` : ` for ${data.budget}; true label `,
        truth,
        ", answer ",
        before,
        ", with the string ",
        after,
        " ",
        element("span", "soft small mono hostile", ...nodes(example)),
      ),
      element("p", "attack hostile", ltr(string)),
      tokenLine(tokens),
    );
    const around = texts.get(list.task)?.[id];
    if (around) made.append(inText(around, string, !list.closed));
    return made;
  };

  const ltr = (string) => {
    const made = element("span", "", ...nodes(string));
    made.dir = "ltr";
    return made;
  };

  const tokenLine = (tokens) => {
    const count = typeof tokens === "number" ? tokens : tokens.length;
    const line = element("p", "tokens small", element("span", "soft", `${count} tokens`));
    if (typeof tokens !== "number") {
      for (const token of tokens) line.append(" ", element("span", "token hostile", ...nodes(token)));
    }
    return line;
  };

  const inText = ([before, after], string, open) => {
    const passage = element("p", "hostile", ...nodes(before), element("mark", "", ...nodes(string)), ...nodes(after));
    const made = element("details", "text", element("summary", "", "In the text"), passage);
    made.open = open;
    return made;
  };

  const script = (source) =>
    new Promise((resolve, reject) => {
      const made = document.createElement("script");
      made.src = source;
      made.addEventListener("load", resolve);
      made.addEventListener("error", () => reject(new Error(source)));
      document.head.append(made);
    });

  const loaded = (list) => {
    list.loading ??= Promise.all([
      script(list.section.dataset.strings),
      list.section.dataset.texts && !texts.has(list.task) ? script(list.section.dataset.texts) : null,
    ]);
    return list.loading;
  };

  const matching = (list) => {
    const wanted = list.search.value.trim().toLowerCase();
    return list.data.rows.filter((row) => {
      if (list.show.value === "broken" && !row[2]) return false;
      if (list.show.value === "held" && row[2]) return false;
      return !wanted || `${readable(row[3])} ${readable(row[0])}`.toLowerCase().includes(wanted);
    });
  };

  const draw = (list) => {
    const rows = matching(list);
    const count = Math.max(1, Math.ceil(rows.length / PAGE));
    list.page = Math.min(Math.max(1, list.page), count);
    const first = (list.page - 1) * PAGE;
    list.items.replaceChildren(...rows.slice(first, first + PAGE).map((row) => item(row, list.data, list)));
    list.items.start = first + 1;
    list.where.textContent = rows.length ? `page ${list.page} of ${count}` : "nothing matches";
    list.previous.disabled = list.page <= 1;
    list.next.disabled = list.page >= count;
  };

  const update = async (list, page) => {
    const asked = (list.asked = (list.asked || 0) + 1);
    try {
      await loaded(list);
    } catch {
      list.loading = null;
      list.where.textContent = "the file with the strings cannot be loaded";
      return;
    }
    if (asked !== list.asked || !list.data) return;
    list.page = page;
    draw(list);
    remember(list);
  };

  // The address tells what the list used last shows: #imdb-gcg-suffix:show=broken&page=2
  const remember = (list) => {
    const state = new URLSearchParams();
    if (list.show.value) state.set("show", list.show.value);
    if (list.search.value) state.set("q", list.search.value);
    if (list.page > 1) state.set("page", list.page);
    const text = state.toString();
    try {
      history.replaceState(null, "", `#${list.section.id}${text ? `:${text}` : ""}`);
    } catch {
      // Some browsers forbid it for files; then the address stays as it is.
    }
  };

  const recall = () => {
    let hash = location.hash.slice(1);
    try {
      hash = decodeURIComponent(hash.replace(/:.*/, "")) + (hash.match(/:.*/)?.[0] ?? "");
    } catch {
      return; // Not an address that we made.
    }
    const colon = hash.indexOf(":");
    const list = lists.get(colon < 0 ? hash : hash.slice(0, colon));
    if (!list || colon < 0) return;
    const state = new URLSearchParams(hash.slice(colon + 1));
    list.show.value = ["broken", "held"].includes(state.get("show")) ? state.get("show") : "";
    list.search.value = state.get("q") ?? "";
    list.section.scrollIntoView();
    update(list, Number.parseInt(state.get("page"), 10) || 1);
  };

  const turn = (list, by) => {
    update(list, list.page + by).then(() => {
      // A button that cannot be pressed any more loses the focus; the other one takes it.
      if (document.activeElement === document.body) (by > 0 ? list.previous : list.next).focus();
      list.section.scrollIntoView();
    });
  };

  const start = (section) => {
    const field = (name) => section.querySelector(`[name="${name}"]`);
    const list = {
      section,
      task: section.dataset.task,
      closed: section.dataset.closed === "true",
      items: section.querySelector(".items"),
      show: field("show"),
      search: field("q"),
      previous: field("previous"),
      next: field("next"),
      where: field("where"),
      page: 1,
      data: null,
    };
    lists.set(section.id, list);
    list.show.addEventListener("change", () => update(list, 1));
    list.search.addEventListener("input", () => update(list, 1));
    list.previous.addEventListener("click", () => turn(list, -1));
    list.next.addEventListener("click", () => turn(list, 1));
  };

  for (const section of document.querySelectorAll("section[data-strings]")) start(section);
  recall();
  window.addEventListener("hashchange", recall);
})();
