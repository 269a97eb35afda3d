// What pages gain where scripts run: copying, pages that follow what they show, logs that grow.
// Every page works without it.
(() => {
  "use strict";

  const announce = (text) => {
    document.getElementById("announced").textContent = text;
  };

  // Copying.
  const revealCopying = (root) => {
    if (!navigator.clipboard) return;
    for (const button of root.querySelectorAll("button[data-copy]")) button.hidden = false;
  };
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return;
    }
    button.classList.add("copied");
    announce(button.textContent + " ✓");
    setTimeout(() => button.classList.remove("copied"), 1500);
  });

  // The menu closes by Escape and by a click elsewhere.
  const menu = document.querySelector("details.menu");
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (menu.open && !menu.contains(event.target)) menu.open = false;
  });

  // Where the navigation is seen after the menu, it is reached after it.
  const navigation = menu.parentElement.querySelector("nav");
  const narrow = matchMedia("(max-width: 44rem)");
  const arrange = () => {
    const held = document.activeElement;
    const [first, second] = narrow.matches ? [menu, navigation] : [navigation, menu];
    if (navigation && first.nextElementSibling !== second) second.before(first);
    if (held !== document.activeElement) held.focus({ preventScroll: true });
  };
  arrange();
  narrow.addEventListener("change", arrange);

  // Parts that change by themselves are taken from the page as the server writes it now.
  const selectorOf = (element) => {
    if (!element || element === document.body) return null;
    if (element.id) return "#" + CSS.escape(element.id);
    if (element.parentElement?.id && element.localName === "summary") {
      return "#" + CSS.escape(element.parentElement.id) + " > summary";
    }
    const link = element.getAttribute("href");
    return link ? `[href="${CSS.escape(link)}"]` : null;
  };
  // What was opened, typed and scrolled stays so.
  const keep = (old, part) => {
    const same = (element) => part.querySelector("#" + CSS.escape(element.id));
    for (const details of old.querySelectorAll("details[id]")) {
      same(details)?.toggleAttribute("open", details.open);
    }
    for (const field of old.querySelectorAll("input[id]")) {
      const fresh = same(field);
      if (fresh && field.value !== field.defaultValue) fresh.value = field.value;
    }
    const scrolled = [...old.querySelectorAll(".scroll[id]")].map((element) => [element.id, element.scrollLeft]);
    return () => {
      for (const [id, left] of scrolled) {
        const element = document.getElementById(id);
        if (element) element.scrollLeft = left;
      }
    };
  };
  // How the whole stands is said when it changes.
  const standing = (part) => part.querySelector(".big .status, .facts-line > .status")?.textContent;
  let refreshing = null;
  let again = false;
  const refresh = () => {
    // News that came while the page was under way may not be in it.
    again = refreshing !== null;
    refreshing ??= (async () => {
      try {
        const answer = await fetch(location.href, { headers: { accept: "text/html" } });
        if (!answer.ok || answer.redirected) return;
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const old of document.querySelectorAll("[data-live]")) {
          const part = fresh.getElementById(old.id);
          if (!part) continue;
          const scroll = keep(old, part);
          revealCopying(part);
          if (part.isEqualNode(old)) continue;
          const state = standing(part);
          if (state && state !== standing(old)) announce(state);
          const focused = old.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
          old.replaceWith(document.adoptNode(part));
          scroll();
          if (focused) part.querySelector(focused)?.focus();
        }
      } catch {
        // The next news tries again.
      } finally {
        refreshing = null;
        if (again) refresh();
      }
    })();
    return refreshing;
  };
  const events = document.body.dataset.events;
  if (events) {
    const source = new EventSource(events);
    let timer = 0;
    for (const news of ["run", "changed"]) {
      source.addEventListener(news, () => {
        clearTimeout(timer);
        timer = setTimeout(refresh, 200);
      });
    }
    source.addEventListener("end", () => {
      source.close();
      clearTimeout(timer);
      refresh();
    });
  }

  // Logs.
  const LINES_MAX = 5000;
  const log = document.querySelector("ol.log[data-stream]");
  if (log) {
    const label = document.querySelector("[data-follow]");
    const box = label?.querySelector("input");
    if (label) label.hidden = false;
    let waiting = [];
    let drawn = false;
    const element = (line) => {
      const item = document.createElement("li");
      item.id = "b" + line.at;
      const link = document.createElement("a");
      link.className = "at";
      link.href = `${log.dataset.page}?from=${line.at}#b${line.at}`;
      link.textContent = "#";
      link.setAttribute("aria-label", log.dataset.link);
      const code = document.createElement("code");
      for (const span of line.spans) {
        const part = document.createElement("span");
        part.className = span.class;
        part.textContent = span.text;
        code.append(part);
      }
      item.append(link, code);
      return item;
    };
    const draw = () => {
      drawn = false;
      const lines = waiting.slice(-LINES_MAX);
      waiting = [];
      log.append(...lines.map(element));
      while (log.childElementCount > LINES_MAX) log.firstElementChild.remove();
      document.querySelector("[data-empty]")?.remove();
      if (box?.checked) log.scrollTop = log.scrollHeight;
    };
    const source = new EventSource(log.dataset.stream);
    source.addEventListener("lines", (event) => {
      waiting.push(...JSON.parse(event.data).lines);
      if (!drawn) {
        drawn = true;
        requestAnimationFrame(draw);
      }
    });
    source.addEventListener("end", () => {
      source.close();
      refresh();
    });
    if (box?.checked) log.scrollTop = log.scrollHeight;
  }

  revealCopying(document);
})();
