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
    // What was fetched where it was opened is newer than what the page says there.
    for (const now of old.querySelectorAll("[data-asked]")) {
      const plain = same(now);
      if (plain && !("asked" in plain.dataset)) plain.replaceWith(now.cloneNode(true));
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
  const swap = (old, part) => {
    const scroll = keep(old, part);
    revealCopying(part);
    if (part.isEqualNode(old)) return;
    const state = standing(part);
    if (state && state !== standing(old)) announce(state);
    const focused = old.contains(document.activeElement) ? selectorOf(document.activeElement) : null;
    old.replaceWith(document.adoptNode(part));
    scroll();
    if (focused) part.querySelector(focused)?.focus();
  };
  const pageAt = async (address) => {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };
  let refreshing = null;
  let again = false;
  const refresh = () => {
    // News that came while the page was under way may not be in it.
    again = refreshing !== null;
    refreshing ??= (async () => {
      try {
        const fresh = await pageAt(location.href);
        if (!fresh) return;
        for (const old of document.querySelectorAll("[data-live]")) {
          const part = fresh.getElementById(old.id);
          if (part) swap(old, part);
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

  // What a cluster says is fetched where it is opened, and again while that is open and looked at.
  const ASKED_EVERY_MS = 10000;
  const asking = new Set();
  const ask = async (details) => {
    const id = details.id + "-now";
    if (asking.has(id)) return;
    asking.add(id);
    try {
      const part = (await pageAt(details.dataset.part))?.getElementById(id);
      const old = document.getElementById(id);
      if (part && old) swap(old, part);
    } catch {
      // It is asked again.
    } finally {
      asking.delete(id);
    }
  };
  document.addEventListener("toggle", (event) => {
    const details = event.target;
    if (!details.open || !details.dataset?.part) return;
    if (!details.querySelector("[data-asked]")) ask(details);
  }, true);
  // A page that changes may come to have some.
  if (document.body.dataset.events || document.querySelector("details[data-part]")) {
    setInterval(() => {
      if (document.hidden) return;
      for (const details of document.querySelectorAll("details[data-part][open]")) ask(details);
    }, ASKED_EVERY_MS);
  }

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

  // Logs. However long one is, the page holds some thousand lines of it: what follows is fetched as it is scrolled to, what
  // is far away is let go of, and the links lead there.
  const FOLLOWED_MAX = 5000;
  const LINES_MAX = 20000;
  const log = document.querySelector("ol.log[data-page]");
  if (log) {
    const label = document.querySelector("[data-follow]");
    const box = label?.querySelector("input");
    const placeOf = (item) => Number(item.id.slice(1));
    const wayOf = { before: "before", behind: "from" };
    const leadTo = (id, place) => {
      const links = document.getElementById(id);
      links.hidden = place === null;
      if (place !== null) links.querySelector("[rel]").href = `${log.dataset.page}?${wayOf[id]}=${place}`;
    };
    // What is seen keeps its place while lines come and go elsewhere.
    const keeping = (seen, change) => {
      const before = seen.getBoundingClientRect().top;
      change();
      log.scrollTop += seen.getBoundingClientRect().top - before;
    };
    const dropFirst = (most) => {
      if (log.childElementCount <= most) return;
      while (log.childElementCount > most) log.firstElementChild.remove();
      leadTo("before", placeOf(log.firstElementChild));
    };
    const dropLast = (most) => {
      let from = null;
      while (log.childElementCount > most) {
        from = placeOf(log.lastElementChild);
        log.lastElementChild.remove();
      }
      if (from !== null) leadTo("behind", from);
    };

    const element = (line) => {
      const item = document.createElement("li");
      item.id = "b" + line.at;
      const link = document.createElement("a");
      link.className = "at";
      link.href = `?from=${line.at}#b${line.at}`;
      link.textContent = "#";
      link.setAttribute("aria-label", log.dataset.link);
      const code = document.createElement("code");
      for (const span of line.spans) {
        const part = document.createElement("span");
        if (span.class) part.className = span.class;
        part.textContent = span.text;
        code.append(part);
      }
      item.append(link, code);
      return item;
    };
    let waiting = [];
    let drawn = false;
    const draw = () => {
      drawn = false;
      const lines = waiting.slice(-LINES_MAX);
      waiting = [];
      if (!lines.length) return;
      log.append(...lines.map(element));
      keeping(log.lastElementChild, () => dropFirst(box?.checked ? FOLLOWED_MAX : LINES_MAX));
      document.querySelector("[data-empty]")?.remove();
      if (box?.checked) log.scrollTop = log.scrollHeight;
    };
    let source = null;
    const follow = (stream) => {
      source = new EventSource(stream);
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
    };

    // What lies before or behind the lines that are there.
    let fetching = false;
    const take = (fresh, isBefore) => {
      const edge = isBefore ? log.firstElementChild : log.lastElementChild;
      const isNew = (item) => isBefore ? placeOf(item) < placeOf(edge) : placeOf(item) > placeOf(edge);
      const items = [...fresh.querySelectorAll("ol.log > li")].filter(isNew).map((item) => document.adoptNode(item));
      const id = isBefore ? "before" : "behind";
      const next = fresh.querySelector(`#${id}:not([hidden]) [rel]`)?.getAttribute("href");
      keeping(edge, () => {
        if (isBefore) log.prepend(...items);
        else log.append(...items);
        leadTo(id, next ? new URL(next, location.href).searchParams.get(wayOf[id]) : null);
        if (!isBefore) dropFirst(LINES_MAX);
        else if (!source) dropLast(LINES_MAX);
      });
      const stream = fresh.querySelector("ol.log").dataset.stream;
      if (!isBefore && stream && !source) follow(stream);
    };
    const fetchPart = async (isBefore) => {
      const link = document.querySelector(`#${isBefore ? "before" : "behind"}:not([hidden]) [rel]`);
      // A log that is followed keeps its end.
      const isFull = isBefore && source && log.childElementCount >= LINES_MAX;
      if (!link || !log.childElementCount || isFull || fetching) return;
      fetching = true;
      try {
        // Who scrolls gets more at once than a first visit loads.
        const address = new URL(link.href);
        address.searchParams.set("weight", log.dataset.further);
        const fresh = await pageAt(address);
        if (fresh && log.childElementCount) take(fresh, isBefore);
      } catch {
        // The next turn of the wheel tries again.
      } finally {
        fetching = false;
      }
    };
    const look = () => {
      if (log.scrollTop < log.clientHeight) fetchPart(true);
      if (log.scrollHeight - log.scrollTop < 2 * log.clientHeight) fetchPart(false);
    };
    for (const kind of ["scroll", "wheel", "touchmove", "keydown"]) {
      log.addEventListener(kind, look, { passive: true });
    }
    // Who goes back to read is not taken to the end again.
    const stay = (goesBack) => {
      if (goesBack && box) box.checked = false;
    };
    log.addEventListener("wheel", (event) => stay(event.deltaY < 0), { passive: true });
    log.addEventListener("keydown", (event) => stay(["ArrowUp", "PageUp", "Home"].includes(event.key)));

    if (log.dataset.stream) {
      if (label) label.hidden = false;
      follow(log.dataset.stream);
      if (box?.checked) log.scrollTop = log.scrollHeight;
    }
  }

  // What is looked through in pieces goes on by itself.
  document.querySelector("[data-goes-on] form")?.requestSubmit();

  revealCopying(document);
})();
