"use strict";
// Uses the review sheet as a person does, in two loads of the page, and leaves what came of it as
// text. `PLAN` stands before this: [id, action, class or ""] for each press.
(async () => {
  const out = document.createElement("pre");
  out.id = "driven";
  const end = (value) => {
    out.textContent = JSON.stringify(value);
    document.body.append(out);
  };
  try {
    const exact = JSON.parse(document.getElementById("exact").textContent);
    const card = (id) => document.querySelector(`.shot[data-i="${exact.images.findIndex((image) => image[0] === id)}"]`);
    const click = (node, act) => node.querySelector(act === "swap" ? ".swap" : `[data-act=${act}]`).click();
    let saved = null;
    URL.createObjectURL = (blob) => { saved = blob; return "#"; };
    const csv = async () => { saved = null; document.getElementById("download").click(); return saved.text(); };
    const first = sessionStorage.getItem("first");
    if (!first) {
      const counts = [document.getElementById("count").textContent];
      for (const [id, act, label] of PLAN) {
        const node = card(id);
        click(node, act);
        if (act === "relabel") {
          const list = node.querySelector("select");
          list.value = String(exact.classes.indexOf(label));
          list.dispatchEvent(new Event("change"));
        }
      }
      // Keys do what buttons do, and pressing again takes back.
      const node = card(PLAN[0][0]);
      node.focus();
      const key = (key) => node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
      key("u");
      counts.push(document.getElementById("count").textContent);
      key(PLAN[0][1][0]);
      const input = node.querySelector("input");
      input.value = "=1+1, \"noted\"";
      input.dispatchEvent(new Event("change"));
      counts.push(document.getElementById("count").textContent);
      // Filters and sorting change what is seen and not what is decided.
      const find = document.getElementById("find");
      find.value = "no such thing";
      find.dispatchEvent(new Event("input"));
      const hidden = document.querySelectorAll(".shot:not([hidden])").length;
      find.value = "";
      find.dispatchEvent(new Event("input"));
      const sort = document.getElementById("sort");
      sort.value = "name";
      sort.dispatchEvent(new Event("input"));
      sessionStorage.setItem("first", JSON.stringify({ counts, hidden, csv: await csv() }));
      location.reload();
      return;
    }
    end({
      ...JSON.parse(first),
      again: await csv(),
      pressed: document.querySelectorAll("[aria-pressed=true]").length,
      cards: document.querySelectorAll(".shot").length,
      requests: performance.getEntriesByType("resource").map((entry) => entry.name),
      hacked: window.hacked === undefined ? null : String(window.hacked),
      scripts: document.scripts.length,
      strange: document.querySelectorAll("iframe, object, embed, link, form, base, [onerror], [onload], img:not([src^='data:image/'])").length,
    });
  } catch (error) {
    end({ error: String(error && error.stack || error) });
  }
})();
