"use strict";
// Everything that came from other people's files is put on the page as text, never as HTML.
(() => {
  const at = (id) => document.getElementById(id);
  const exact = JSON.parse(at("exact").textContent);
  const { images, classes, shown } = exact;
  const ACTIONS = ["keep", "drop", "relabel", "downweight"];
  const WORDS = { keep: "Keep", drop: "Drop", relabel: "Relabel", downweight: "Less" };
  const HINTS = { keep: "Keep this image as it came in (K)", drop: "Remove this image (D)", relabel: "Give this image another class (R)", downweight: "Keep it, but let it count less (W)" };

  // Decisions by id: what the file said, and what was pressed here (null takes a row of the file back).
  const given = new Map(exact.overrides.map(([id, action, label, note]) => [id, { action, label, note }]));
  const pressed = new Map();
  let memory = null;
  try {
    memory = window.localStorage;
    const kept = JSON.parse(memory.getItem(exact.key) || "[]");
    for (const [id, row] of kept) if (row === null || ACTIONS.includes(row.action)) pressed.set(id, row);
  } catch { memory = null; }
  const same = (a, b) => !!a && !!b && a.action === b.action && (a.label || "") === (b.label || "") && (a.note || "") === (b.note || "");
  const remember = () => {
    for (const [id, row] of pressed) if (row === null ? !given.has(id) : same(row, given.get(id))) pressed.delete(id);
    if (!memory) return;
    try { memory.setItem(exact.key, JSON.stringify([...pressed])); } catch { memory = null; }
  };
  const decision = (id) => (pressed.has(id) ? pressed.get(id) : given.get(id)) || null;

  const el = (tag, props = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), props);
    node.append(...children);
    return node;
  };
  const cards = [...document.querySelectorAll(".shot")].map((node, order) => {
    const [id, label, suggested] = images[+node.dataset.i];
    const of = node.dataset.of === undefined ? null : images[+node.dataset.of][0];
    return { node, order, id, label, suggested, of, score: node.dataset.score === undefined ? null : +node.dataset.score,
      done: node.dataset.done, state: node.querySelector(".state"), was: node.querySelector(".state").textContent,
      text: node.textContent.toLowerCase(), buttons: {}, more: null };
  });
  const byId = new Map();
  for (const card of cards) byId.set(card.id, [...(byId.get(card.id) || []), card]);

  function decide(id, row) {
    const old = decision(id);
    if (row && old && !row.note) row.note = old.note;
    if (row || given.has(id)) pressed.set(id, row); else pressed.delete(id);
    remember();
    for (const card of byId.get(id) || []) draw(card);
    total();
  }
  function press(card, action) {
    const now = decision(card.id);
    if (now && now.action === action && action !== "relabel") return decide(card.id, null);
    if (action !== "relabel") return decide(card.id, { action });
    if (now && now.action === "relabel") return decide(card.id, null);
    if (card.suggested !== null) return decide(card.id, { action, label: classes[card.suggested] });
    choose(card).focus();
  }
  function swap(card) {
    decide(card.id, { action: "keep" });
    decide(card.of, { action: "drop" });
    tell("This one is kept, and the other one dropped.");
  }
  // The list of classes, made only where it is wanted: there may be a thousand of them.
  function choose(card) {
    if (!card.more) { card.more = el("div", { className: "more" }); card.node.append(card.more); }
    let list = card.more.querySelector("select");
    if (!list) {
      list = el("select", { ariaLabel: "The class this image belongs to" }, el("option", { value: "", textContent: "belongs to …" }));
      shown.forEach((name, at) => list.append(el("option", { value: String(at), textContent: name })));
      list.addEventListener("change", () => list.value !== "" && decide(card.id, { action: "relabel", label: classes[+list.value] }));
      card.more.prepend(list);
    }
    return list;
  }
  function note(card) {
    if (!card.more) { card.more = el("div", { className: "more" }); card.node.append(card.more); }
    let input = card.more.querySelector("input");
    if (!input) {
      input = el("input", { placeholder: "why (optional)", ariaLabel: "Why, for the overrides file", maxLength: 500 });
      input.addEventListener("change", () => { const row = decision(card.id); if (row) decide(card.id, { ...row, note: input.value }); });
      card.more.append(input);
    }
    return input;
  }
  function draw(card) {
    const row = decision(card.id);
    card.node.classList.toggle("decided", !!row);
    for (const action of ACTIONS) card.buttons[action].setAttribute("aria-pressed", String(!!row && row.action === action));
    card.state.classList.toggle("byhand", !!row);
    if (row) {
      const name = row.label ? shown[classes.indexOf(row.label)] || "?" : "";
      card.state.textContent = { keep: "keep", drop: "drop", relabel: "now " + name, downweight: "counts less" }[row.action] + (pressed.has(card.id) ? "" : " (in the file)");
      note(card).value = row.note || "";
      if (row.action === "relabel") choose(card).value = String(classes.indexOf(row.label));
    } else {
      card.state.textContent = card.was;
      if (card.more) { card.more.remove(); card.more = null; }
    }
  }

  // A cell that a spreadsheet takes for a formula gets an apostrophe, which `clean` takes away again.
  const cell = (text) => '"' + (/^[=+\-@\t\r']/.test(text) ? "'" + text : text).replaceAll('"', '""') + '"';
  function csv() {
    const rows = new Map(given);
    for (const [id, row] of pressed) if (row) rows.set(id, row); else rows.delete(id);
    const lines = [...rows].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([id, row]) =>
      [id, row.action, row.action === "relabel" ? row.label || "" : "", row.note || ""].map(cell).join(","));
    return ["id,action,label,note", ...lines].join("\n") + "\n";
  }
  function total() {
    const counts = {};
    let fresh = 0;
    for (const [, row] of pressed) { fresh += 1; const word = row ? row.action : "taken back"; counts[word] = (counts[word] || 0) + 1; }
    const words = Object.entries(counts).map(([word, n]) => n + " " + word).join(", ");
    const from = given.size ? given.size + " in the file already" : "";
    at("count").textContent = fresh
      ? fresh + " decided here (" + words + ")" + (from ? ", " + from : "")
      : from || "Nothing decided yet";
    at("undo").disabled = fresh === 0;
    at("download").disabled = at("copy").disabled = fresh + given.size === 0;
    if (!at("text").hidden) at("text").value = csv();
    if (!memory && fresh) tell("This browser keeps nothing for this page: download before you close it.");
  }
  function tell(text) { at("told").textContent = text; }

  // In the order on the screen, which sorting changes.
  const ofNode = new Map(cards.map((card) => [card.node, card]));
  function visible() { return [...document.querySelectorAll(".shot:not([hidden])")].map((node) => ofNode.get(node)); }
  function filter() {
    const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [label, state] = [at("class").value, at("state").value];
    for (const card of cards) {
      const row = decision(card.id);
      const fits = words.every((word) => card.text.includes(word) || card.id.toLowerCase().includes(word))
        && (label === "" || card.label === +label)
        && (state === "" || (state === "open" ? !row : state === "decided" ? !!row : card.done === state));
      card.node.hidden = !fits;
    }
    for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".shot:not([hidden])");
    const left = visible().length;
    at("hits").textContent = left === cards.length ? "" : left + " of " + cards.length;
  }
  function sort() {
    const by = at("sort").value;
    const compare = {
      up: (a, b) => (a.score ?? Infinity) - (b.score ?? Infinity),
      down: (a, b) => (b.score ?? -Infinity) - (a.score ?? -Infinity),
      class: (a, b) => a.label - b.label,
      name: (a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0),
    }[by] || (() => 0);
    const sorted = [...cards].sort((a, b) => compare(a, b) || a.order - b.order);
    for (const card of sorted) card.node.parentNode.append(card.node);
  }

  for (const card of cards) {
    const acts = el("div", { className: "acts" });
    acts.hidden = !!card.node.closest("#check-unreadable"); // They stay removed whatever is decided.
    for (const action of ACTIONS) {
      const button = el("button", { type: "button", textContent: WORDS[action], title: HINTS[action] });
      button.dataset.act = action;
      button.addEventListener("click", () => press(card, action));
      card.buttons[action] = button;
      acts.append(button);
    }
    if (card.of !== null) {
      const button = el("button", { type: "button", className: "swap", textContent: "Keep this, drop the other" });
      button.addEventListener("click", () => swap(card));
      acts.append(button);
    }
    card.node.append(acts);
    card.node.tabIndex = 0;
    draw(card);
  }
  for (const group of document.querySelectorAll(".group")) {
    if (group.id === "check-unreadable") continue;
    const holder = group.querySelector("[data-bulk]");
    const mine = () => visible().filter((card) => card.node.closest(".group") === group);
    const offer = (word, action, fits) => {
      const button = el("button", { type: "button", textContent: word });
      button.addEventListener("click", () => { for (const card of mine()) if (fits(card)) decide(card.id, action(card)); });
      holder.append(button);
    };
    holder.append("All shown:");
    offer("Keep", () => ({ action: "keep" }), () => true);
    offer("Drop", () => ({ action: "drop" }), () => true);
    if (cards.some((card) => card.suggested !== null && card.node.closest(".group") === group))
      offer("Relabel as suggested", (card) => ({ action: "relabel", label: classes[card.suggested] }), (card) => card.suggested !== null && card.suggested !== card.label);
    offer("Undo", () => null, () => true);
  }
  shown.forEach((name, number) => at("class").append(el("option", { value: String(number), textContent: name })));
  for (const id of ["find", "class", "state"]) at(id).addEventListener("input", filter);
  at("sort").addEventListener("input", sort);
  at("undo").addEventListener("click", () => {
    const ids = [...pressed.keys()];
    pressed.clear();
    remember();
    for (const id of ids) for (const card of byId.get(id) || []) draw(card);
    total();
    tell("Everything decided here is taken back.");
  });
  at("download").addEventListener("click", () => {
    const link = el("a", { href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })), download: "overrides.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    tell("Downloaded. Put it beside your pipeline, name it as `overrides` of clean, and run again.");
  });
  at("copy").addEventListener("click", async () => {
    const text = csv();
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied. Paste it into a file overrides.csv.");
    } catch {
      const area = at("text");
      area.hidden = false;
      area.value = text;
      area.select();
      let done = false;
      try { done = document.execCommand("copy"); } catch { done = false; }
      tell(done ? "Copied. Paste it into a file overrides.csv." : "Copy the text below into a file overrides.csv.");
    }
  });

  // Keys: moving by place on the screen, so that up and down mean what they look like.
  const acts = (card) => card.node.querySelector(".acts");
  const typing = (node) => node.matches("input, select, textarea");
  function move(key, from) {
    const here = from.getBoundingClientRect();
    const [x, y] = [here.left + here.width / 2, here.top + here.height / 2];
    const list = visible();
    const index = list.findIndex((card) => card.node === from);
    if (key === "ArrowLeft") return list[index - 1];
    if (key === "ArrowRight") return list[index + 1];
    const down = key === "ArrowDown";
    let best = null, least = Infinity;
    for (const card of list) {
      const box = card.node.getBoundingClientRect();
      const dy = (box.top + box.height / 2 - y) * (down ? 1 : -1);
      const distance = dy * 2 + Math.abs(box.left + box.width / 2 - x);
      if (dy > here.height / 2 && distance < least) { best = card; least = distance; }
    }
    return best;
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target)) return;
    if (event.key === "/") { event.preventDefault(); return at("find").focus(); }
    const node = event.target.closest?.(".shot");
    const card = ofNode.get(node);
    if (event.key.startsWith("Arrow")) {
      const next = node ? move(event.key, node) : null;
      if (next) { event.preventDefault(); next.node.focus(); next.node.scrollIntoView({ block: "nearest" }); }
      return;
    }
    if (!card) return;
    const action = { k: "keep", d: "drop", r: "relabel", w: "downweight" }[event.key.toLowerCase()];
    if (action && !acts(card).hidden) { event.preventDefault(); press(card, action); }
    if (event.key.toLowerCase() === "u") { event.preventDefault(); decide(card.id, null); }
  });

  at("tools").hidden = cards.length === 0;
  at("bar").hidden = cards.length + given.size === 0;
  remember();
  total();
})();
