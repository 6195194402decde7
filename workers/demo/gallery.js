"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const jobs = [...document.querySelectorAll(".job")];
  const viewer = byId("viewer"), stage = byId("stage"), split = byId("split");
  const filters = byId("filters"), sku = byId("sku"), states = [...document.querySelectorAll("[data-filter]")];
  let shown = 0;

  const showMissing = (image) => {
    const tile = document.createElement("div");
    tile.className = "missing";
    tile.textContent = "The image could not be read: " + image.getAttribute("src");
    (image.closest("button") || image).replaceWith(tile);
  };
  for (const image of document.querySelectorAll(".picture img")) {
    image.addEventListener("error", () => showMissing(image));
    if (image.complete && image.naturalWidth === 0 && image.currentSrc) showMissing(image);
  }

  const applyFilters = () => {
    const chosen = states.find((button) => button.getAttribute("aria-pressed") === "true");
    const state = chosen ? chosen.dataset.filter : "";
    let count = 0;
    for (const job of jobs) {
      job.hidden = Boolean((state && job.dataset.state !== state) || (sku.value && job.dataset.sku !== sku.value));
      count += job.hidden ? 0 : 1;
    }
    byId("count").textContent = count === jobs.length ? "All " + count + " jobs" : count + " of " + jobs.length + " jobs";
    byId("nothing").hidden = count > 0;
  };
  if (filters) {
    filters.hidden = false;
    for (const button of states) {
      button.addEventListener("click", () => {
        for (const other of states) other.setAttribute("aria-pressed", String(other === button));
        applyFilters();
      });
    }
    sku.addEventListener("change", applyFilters);
    applyFilters();
  }

  const openable = () => [...document.querySelectorAll(".job:not([hidden]) .open")];
  const setSplit = (value) => {
    split.value = value;
    stage.style.setProperty("--split", split.value);
  };
  const show = (index) => {
    const results = openable();
    if (results.length === 0) return;
    shown = (index + results.length) % results.length;
    const { before, after, title, prompt, ratio } = results[shown].dataset;
    byId("viewer-title").textContent = title;
    byId("viewer-prompt").textContent = prompt;
    byId("viewer-counter").textContent = shown + 1 + " of " + results.length;
    byId("viewer-after").src = after;
    byId("viewer-after").alt = "After: " + title;
    if (before) byId("viewer-before").src = before;
    byId("viewer-before").alt = before ? "Before: " + title : "";
    stage.classList.toggle("single", !before);
    stage.style.setProperty("--ratio", ratio);
    setSplit(50);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".open");
    if (!button) return;
    show(openable().indexOf(button));
    viewer.showModal();
    byId("viewer-next").focus();
  });
  viewer.addEventListener("close", () => {
    const results = openable();
    if (results[shown]) results[shown].focus();
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowLeft: () => show(shown - 1), ArrowRight: () => show(shown + 1),
      ArrowUp: () => setSplit(Number(split.value) + 4), ArrowDown: () => setSplit(Number(split.value) - 4) };
    if (!Object.hasOwn(steps, event.key)) return;
    event.preventDefault();
    steps[event.key]();
  });
  split.addEventListener("input", () => setSplit(split.value));
  byId("viewer-previous").addEventListener("click", () => show(shown - 1));
  byId("viewer-next").addEventListener("click", () => show(shown + 1));
  byId("viewer-close").addEventListener("click", () => viewer.close());
  window.addEventListener("beforeprint", () => {
    for (const image of document.images) image.loading = "eager";
  });
})();
