"use strict";
// Shows /kudu2kafka/status. Everything that comes from there is put into text nodes
// or attributes, never parsed as HTML.
(() => {
  const every = 2000; // ms between two polls
  const patience = 10000; // ms that an answer may take
  const slots = 150; // points of a chart: five minutes
  const $ = id => document.getElementById(id);
  const opened = new Set(); // details that the reader has opened
  let timer = 0, running = false, answered = 0;

  // h makes an element; children are elements or text.
  function h(tag, attributes, ...children) {
    const e = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) e.setAttribute(name, value);
    e.append(...children.filter(c => c !== null));
    return e;
  }
  function s(tag, attributes) {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, value);
    return e;
  }

  function number(n) {
    if (n < 10000) return n.toLocaleString("en", {maximumFractionDigits: n < 100 && n % 1 ? 1 : 0});
    for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
      if (n >= size) return (n / size).toFixed(n < 100 * size ? 1 : 0) + " " + unit;
    }
    return String(n);
  }
  function bytes(n) {
    for (const [unit, size] of [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 1024]]) {
      if (n >= size) return (n / size).toFixed(1) + " " + unit;
    }
    return Math.round(n) + " B";
  }
  function time(ms) {
    const t = Math.round(ms / 1000);
    if (ms < 10000) return (ms / 1000).toFixed(1) + " s";
    if (t < 120) return t + " s";
    if (t < 7200) return Math.floor(t / 60) + " min " + t % 60 + " s";
    if (t < 172800) return Math.floor(t / 3600) + " h " + Math.floor(t % 3600 / 60) + " min";
    return Math.floor(t / 86400) + " d " + Math.floor(t % 86400 / 3600) + " h";
  }
  const lag = (c, read) => !read ? "" : c.tablets_behind > 0 ? time(c.lag_ms) : "none";
  const level = state => ({RUNNING: "good", COMPLETED: "good", FAILED: "bad", RESTARTING: "warn", RESTORING: "warn", UNASSIGNED: "warn"})[state] || "dim";
  const state = name => h("span", {class: "state " + level(name)}, name);

  function tile(label, value, id) {
    return h("div", {class: "tile"}, h("span", {class: "value", ...(id ? {id} : {})}, value), h("span", {class: "label"}, label));
  }

  // chart draws a history of rates, which ends now.
  function chart(label, values, show) {
    const width = slots, height = 50, top = Math.max(1, ...values);
    const points = values.map((v, n) => [width - values.length + 1 + n, height - 1 - v / top * (height - 4)]);
    const path = points.map(([x, y], n) => (n ? "L" : "M") + x + " " + y.toFixed(1)).join("");
    const now = values.length ? values[values.length - 1] : 0;
    const picture = s("svg", {viewBox: "0 0 " + width + " " + height, preserveAspectRatio: "none", role: "img",
      "aria-label": label + ": now " + show(now) + ", at most " + show(values.length ? Math.max(...values) : 0) + " in the last " + time(values.length * every)});
    picture.append(s("line", {x1: 0, x2: width, y1: height - 1, y2: height - 1}));
    if (points.length > 1) {
      picture.append(s("path", {class: "area", d: path + "L" + width + " " + (height - 1) + "L" + points[0][0] + " " + (height - 1) + "Z"}));
      picture.append(s("path", {class: "line", d: path}));
    }
    return h("div", {class: "chart"}, h("span", {class: "now"}, show(now)), h("span", {class: "label"}, label), picture);
  }
  function charts(history) {
    return [chart("Rows per second", history.rows_per_s, n => number(n) + "/s"), chart("Bytes per second", history.bytes_per_s, n => bytes(n) + "/s")];
  }

  // table makes rows of cells; a heading is [text, class].
  function table(caption, headings, rows) {
    return h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": caption}, h("table", {},
      h("thead", {}, h("tr", {}, ...headings.map(([text, kind]) => h("th", {scope: "col", class: kind || ""}, text)))),
      h("tbody", {}, ...rows.map(cells => h("tr", {}, ...cells.map((cell, n) =>
        h("td", {class: headings[n][1] || "", "data-label": headings[n][0]}, h("span", {}, cell))))))));
  }

  function trouble(what, trace, remedy, past) {
    return h("div", {class: past ? "trouble past" : "trouble"}, h("p", {}, what + ": " + trace), remedy ? h("p", {}, "What to do: " + remedy) : null);
  }

  function details(key, title, body) {
    const d = h("details", {}, h("summary", {}, title), body);
    d.dataset.key = key;
    d.open = opened.has(key);
    d.addEventListener("toggle", () => d.open ? opened.add(key) : opened.delete(key));
    return d;
  }

  function connector(c) {
    const wanted = c.target !== c.state && c.target !== "RUNNING" ? h("span", {class: "dim"}, "wanted: " + c.target) : null;
    const card = h("article", {class: "card"},
      h("div", {class: "card-head"}, h("h3", {}, c.name), state(c.state), wanted),
      h("p", {class: "route"}, (c.table || "?") + " \u2192 " + (c.topic || "?") + ", mode " + (c.mode || "offset") + (c.file ? ", from a file" : ", made by REST")));
    if (c.trace) card.append(trouble("Error", c.trace, c.remedy));
    for (const t of c.tasks) {
      if (t.trace) card.append(trouble("Task " + t.id, t.trace, t.remedy));
      else if (t.last_error) card.append(trouble("Task " + t.id + " is over it, since " + new Date(t.last_error.at).toLocaleString(), t.last_error.trace, t.last_error.remedy, true));
    }
    card.append(h("div", {class: "tiles"},
      tile("rows", number(c.rows)), tile("bytes", bytes(c.bytes)), tile("tablets behind", c.tablets_behind + " of " + c.tablet_count), tile("lag", lag(c, c.tablet_count) || "not known"),
      c.catch_up ? tile("published for the first time", Math.round(100 * c.catch_up.part) + " % of " + number(c.table_rows)) : null,
      c.catch_up && c.catch_up.left_ms ? tile("time left", "about " + time(c.catch_up.left_ms)) : null));
    card.append(h("div", {class: "charts"}, ...charts(c.history)));
    if (c.tasks.length) {
      card.append(details("tasks " + c.name, c.tasks.length + (c.tasks.length === 1 ? " task" : " tasks"), table("Tasks of " + c.name,
        [["Task"], ["State"], ["Worker"], ["Tablets behind", "num"], ["Lag", "num"], ["Rows", "num"], ["Bytes", "num"]],
        c.tasks.map(t => [String(t.id), state(t.state), t.worker_id || "none", t.tablets_behind + " of " + t.tablet_count, lag(t, t.tablet_count), number(t.rows), bytes(t.bytes)]))));
    }
    if (c.tablets.length) {
      const here = c.tablets.length < c.tablet_count ? ", those furthest behind on this worker" : "";
      card.append(details("tablets " + c.name, c.tablets.length + " of " + c.tablet_count + " tablets" + here, table("Tablets of " + c.name,
        [["Tablet", "key"], ["Task"], ["State"], ["Lag", "num"], ["Published up to", "key"]],
        c.tablets.map(t => [t.tablet, String(t.task), h("span", {class: t.behind ? "warn" : "good"}, t.behind ? "behind" : "drained"), t.behind ? time(t.lag_ms) : "none", t.position || "nothing yet"]))));
    }
    return card;
  }

  function show(d) {
    const t = d.totals;
    document.title = (t.connectors_failed ? "(" + t.connectors_failed + " failed) " : "") + "kudu2kafka " + d.group_id;
    $("about").textContent = "group " + d.group_id + ", seen by worker " + d.worker_id + ", version " + d.version;
    $("totals").replaceChildren(
      tile("rows per second", number(t.rows_per_s), "rows-rate"), tile("bytes per second", bytes(t.bytes_per_s)),
      tile("rows", number(t.rows), "rows"), tile("bytes", bytes(t.bytes)),
      tile("tasks running", t.tasks_running + " of " + t.tasks), tile("connectors failed", String(t.connectors_failed)),
      tile("tablets behind", t.tablets_behind + " of " + t.tablet_count), tile("lag", lag(t, t.tablet_count) || "not known"));
    $("charts").replaceChildren(...charts(t.history));
    $("connectors").replaceChildren(...(d.connectors.length ? d.connectors.map(connector) : [h("p", {class: "dim"}, "There are no connectors.")]));
    $("workers").replaceChildren(table("Workers", [["Worker"], ["Tasks", "num"], ["Rows", "num"], ["Bytes", "num"], ["Seen", "num"]],
      d.workers.map(w => [w.worker_id + (w.self ? " (this one)" : ""), String(w.tasks), number(w.rows), bytes(w.bytes), w.self ? "now" : time(w.seen_ms) + " ago"])));
  }

  function complain(text) {
    // Only when it changes, so that it isn't read aloud again and again.
    if ($("trouble").textContent !== text) $("trouble").textContent = text;
    $("trouble").hidden = text === "";
  }

  function fresh(text) {
    if ($("freshness").textContent !== text) $("freshness").textContent = text;
  }

  // keepFocus gives the focus back to what has been made anew.
  function keepFocus(change) {
    const had = document.activeElement;
    const find = had.tagName === "SUMMARY" ? () => [...document.querySelectorAll("details")].find(e => e.dataset.key === had.parentElement.dataset.key)?.querySelector("summary")
      : had.matches(".scroll") ? () => [...document.querySelectorAll(".scroll")].find(e => e.getAttribute("aria-label") === had.getAttribute("aria-label")) : null;
    change();
    if (find) find()?.focus({preventScroll: true});
  }

  async function poll() {
    if (running) return;
    running = true;
    clearTimeout(timer);
    try {
      const response = await fetch("/kudu2kafka/status", {headers: {Accept: "application/json"}, cache: "no-store", signal: AbortSignal.timeout(patience)});
      if (!response.ok) {
        const body = await response.json().catch(() => ({}));
        throw new Error("the worker answers " + response.status + (body.message ? ": " + body.message : ""));
      }
      const d = await response.json();
      const selecting = !getSelection().isCollapsed; // somebody is about to copy a text
      if (!selecting) keepFocus(() => show(d));
      answered = Date.now();
      complain(d.health.status === "healthy" ? "" : "This worker is " + d.health.status + ": " + d.health.message);
      fresh(selecting ? "held while text is selected" : "live");
    } catch (e) {
      const why = e.name === "TimeoutError" ? "no answer within " + time(patience) : e.message;
      complain("The worker can't be asked (" + why + ")." + (answered ? " What is shown is of " + new Date(answered).toLocaleTimeString() + "." : "") + " Trying again.");
      fresh("not live");
    }
    running = false;
    if (!document.hidden) timer = setTimeout(poll, every);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) poll();
  });
  poll();
})();
