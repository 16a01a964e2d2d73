"use strict";
// Keeps the page up to date: whenever the board changes, the script fetches the same page again and replaces the old one.
// Nothing depends on the script; without it, a reload shows the same page.
(() => {
  const live = document.getElementById("live");
  const QUIET_MS = 45000; // after this time without an event, the script asks by itself, because a dead connection is not noticed
  const RETRY_MS = 5000;
  let skew = 0; // how far the server's clock is ahead of ours
  let fresh = Date.now(); // when the server last answered
  let busy = false, again = false, lost = false;
  const main = () => document.querySelector("main");

  function mark(well) {
    lost = !well;
    if (well) fresh = Date.now();
    const words = well ? "● live" : "○ not connected; shown as of " + new Date(fresh + skew).toISOString().slice(11, 19) + " UTC";
    live.className = well ? "good" : "bad";
    if (live.textContent !== words) live.textContent = words;
  }

  function relative(at) {
    const s = Math.trunc((at - Date.now() - skew) / 1000), n = Math.abs(s);
    if (!n) return "now";
    const length = n < 60 ? n + " s" : n < 3600 ? Math.floor(n / 60) + " min"
      : n < 172800 ? Math.floor(n / 3600) + " h" : Math.floor(n / 86400) + " d";
    return s < 0 ? length + " ago" : "in " + length;
  }

  function tick() {
    for (const time of document.querySelectorAll("main time:not([data-fixed])")) {
      const words = relative(Date.parse(time.dateTime));
      if (time.textContent !== words) time.textContent = words;
    }
  }

  // Each command gets a button that copies it, if the browser allows a page to do that.
  function buttons() {
    if (!navigator.clipboard) return;
    for (const code of document.querySelectorAll(".command code")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.setAttribute("aria-label", "Copy " + code.textContent);
      button.onclick = () => navigator.clipboard.writeText(code.textContent).then(
        () => { button.textContent = "Copied"; }, () => getSelection().selectAllChildren(code));
      code.after(button);
    }
  }

  // A selection, such as a RequestId that a person is about to copy, is kept.
  function marking() {
    const marked = getSelection();
    return !marked.isCollapsed && main().contains(marked.anchorNode);
  }

  function swap(page) {
    const old = main(), next = page.querySelector("main");
    if (!next) throw new Error("no page");
    const at = [scrollX, scrollY], focus = document.activeElement;
    for (const open of old.querySelectorAll("details[open]")) {
      const same = page.getElementById(open.id);
      if (same) same.open = true;
    }
    // The focus is on a link, or on the summary of a list; it moves to the same element of the new page.
    const name = (one) => one.getAttribute("href") || one.getAttribute("aria-label");
    const inside = old.contains(focus), link = inside && name(focus);
    const alike = (all) => [...all.querySelectorAll("a, button")].filter((one) => name(one) === link);
    const place = alike(old).indexOf(focus), opened = inside && focus.closest("details");
    const scrolled = [...old.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    document.title = page.title;
    old.replaceWith(next);
    buttons();
    next.querySelectorAll(".scroll").forEach((one, i) => { one.scrollLeft = scrolled[i] || 0; });
    const target = alike(next)[place] || (opened && next.querySelector("#" + opened.id + " summary"));
    if (target) target.focus({ preventScroll: true });
    scrollTo(at[0], at[1]);
    sync();
  }

  function sync() {
    skew = Date.parse(main().dataset.now) - Date.now();
    tick();
  }

  async function refresh() {
    if (busy) { again = true; return; }
    if (marking()) { setTimeout(refresh, RETRY_MS); return; }
    busy = true;
    try {
      const reply = await fetch(location.href, { cache: "no-store" });
      if (!reply.ok) throw new Error(reply.status);
      swap(new DOMParser().parseFromString(await reply.text(), "text/html"));
      mark(true);
    } catch {
      mark(false);
    }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  function connect() {
    const events = new EventSource("events");
    events.onopen = () => { if (lost) refresh(); else mark(true); };
    events.addEventListener("changed", (event) => {
      mark(true);
      if (event.data !== main().dataset.version) refresh();
    });
    events.onerror = () => {
      mark(false);
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
    };
  }

  buttons();
  sync();
  setInterval(tick, 1000);
  setInterval(() => { if (Date.now() - fresh > QUIET_MS) refresh(); }, RETRY_MS);
  connect();
})();
