import { count, duration, moment, nameOf, settingRows, struckWords, timesOf } from "./page_words.js";

// Asks the simulator for its state and shows it. Whatever came from outside is put in as text, never as markup, and an
// element stays in its place for as long as what it shows does, so that no picture is loaded twice.
const REFRESH_SECONDS = 1.5, PATIENCE_SECONDS = 10, PAUSES_SECONDS = [2, 4, 8, 15];
const CARDS_AT_FIRST = 6, ROWS_AT_FIRST = 30, LOADS_MAX = 3;
const byId = (id) => document.getElementById(id);
const shown = { exchange: "", oddOnly: false, key: "", allCards: false, allRows: false };
let state = null, heardAt = 0, failures = 0, timer = 0, asked = 0, catalogue = new Map();
const now = () => state.now + (performance.now() - heardAt) / 1000;

// Elements

const element = (name, className, ...content) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...content.filter((part) => part !== ""));
  return made;
};
const setText = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const setList = (list, rows) => {
  const text = JSON.stringify(rows.map(([name, value]) => [name, value instanceof Node ? value.textContent : value]));
  if (list.dataset.shown === text) return;
  list.dataset.shown = text;
  list.replaceChildren(...rows.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
};
const setPairs = (list, rows) => {
  setList(list, rows);
  for (const row of [...list.querySelectorAll(":scope > div")]) row.replaceWith(...row.childNodes);
};
/** The container has one child per item, in their order; a child stays for as long as its key does. */
const keep = (container, items, keyOf, make, update) => {
  const wanted = new Set(items.map(keyOf)), kept = new Map();
  for (const child of [...container.children]) {
    if (wanted.has(child.dataset.key)) kept.set(child.dataset.key, child);
    else child.remove();
  }
  let place = container.firstElementChild;
  for (const item of items) {
    const key = keyOf(item), child = kept.get(key) || make(item);
    child.dataset.key = key;
    if (child === place) place = place.nextElementSibling;
    else container.insertBefore(child, place);
    update(child, item);
  }
};
const webAddress = (text) => {
  if (!/^https?:\/\//i.test(text) || text.endsWith("…")) return text; // a shortened address leads nowhere
  const link = element("a", "", text);
  link.href = text;
  link.rel = "noreferrer noopener";
  link.target = "_blank";
  return link;
};

// Submissions

const addPicture = (figure, address, title) => {
  const image = new Image();
  image.alt = title;
  image.loading = "lazy";
  image.decoding = "async";
  image.addEventListener("error", () => {
    // The next refresh tries again, a few times.
    figure.dataset.failed = Number(figure.dataset.failed || 0) + 1;
    figure.firstElementChild.replaceWith(element("div", "wait", "cannot be shown"));
  });
  const link = element("a", "", image);
  link.href = address;
  link.target = "_blank";
  link.rel = "noreferrer noopener";
  figure.firstElementChild.replaceWith(link);
  image.src = address;
};
const updatePicture = (figure, { address, title, waiting }) => {
  if (figure.querySelector("img")) return;
  if (address && Number(figure.dataset.failed || 0) < LOADS_MAX) addPicture(figure, address, title);
  else if (!figure.dataset.failed) setText(figure.firstElementChild, waiting);
};
const makePicture = ({ label, kind }) =>
  element("figure", `picture ${kind}`, element("div", "wait"), element("figcaption", "", label));
const isOver = (task) => task.ends_at !== null && now() >= task.ends_at;
const picturesOf = (submission, task, number) => {
  const base = `/_sim/pictures/${encodeURIComponent(submission.result_key)}/`;
  const prompt = task.positive_prompt.slice(0, 120);
  const pictures = [
    { kind: "photo", label: "Photo", address: `${base}photo-${number}`, title: `Photo for: ${prompt}` },
    { kind: "mask", label: "Mask", address: `${base}mask-${number}`, title: `Mask for: ${prompt}` },
  ];
  const images = task.results.length || (isOver(task) ? 0 : task.num_output);
  for (let index = 0; index < images; index += 1) {
    const label = images === 1 ? "Result" : `Result ${index + 1}`;
    const address = task.results[index] ? `${base}result-${task.first_index + index}` : "";
    pictures.push({ kind: "result", label, address, title: `${label} for: ${prompt}`, waiting: "not drawn yet" });
  }
  if (!images) pictures.push({ kind: "none", label: "No result", address: "", waiting: task.status });
  return pictures.map((picture, index) => ({ ...picture, key: `${picture.kind}-${index}` }));
};
const parametersOf = (task) => [
  `strength ${task.strength}`, `${task.steps} steps`,
  `guidance ${task.guidance_scale ?? "7.5 by default"}`,
  `seed ${task.seed ?? `${task.seed_drawn}, drawn`}`, count(task.num_output, "image"),
].join(" · ");
const tick = (section, submission, task) => {
  const word = section.querySelector(".word"), bar = section.querySelector("progress");
  const left = task.ends_at === null ? null : task.ends_at - now();
  const over = left !== null && left <= 0;
  setText(section.querySelector(".left"), over ? "" : left === null ? "without end" : `${duration(Math.ceil(left))} left`);
  const known = ["WAITING", "RUNNING", "SUCCESS", "FAILED"].includes(task.status);
  const className = `word ${known ? task.status : "odd"}`;
  if (word.className !== className) word.className = className;
  bar.hidden = over;
  const whole = task.ends_at - submission.accepted_at;
  if (left > 0 && whole > 0) bar.value = Math.min(1, Math.max(0, 1 - left / whole));
};
const updateTask = (submission) => (section, { task, number }) => {
  const pictures = picturesOf(submission, task, number);
  const list = section.querySelector(".pictures");
  list.className = `pictures of-${pictures.length}`;
  keep(list, pictures, (picture) => picture.key, makePicture, updatePicture);
  setText(section.querySelector(".word"), task.status);
  setText(section.querySelector(".prompt"), task.positive_prompt);
  setText(section.querySelector(".parameters"), parametersOf(task));
  tick(section, submission, task);
};
const factsOf = (submission) => [
  ["result_key", submission.result_key],
  ["Nonce", submission.nonce ?? "none"],
  ...submission.tasks.flatMap((task, index) => {
    const number = submission.tasks.length > 1 ? ` ${index + 1}` : "";
    return [
      [`Photo${number}`, webAddress(task.image)],
      [`Mask${number}`, webAddress(task.mask)],
      [`Not wanted${number}`, task.negative_prompt || "nothing"],
    ];
  }),
];
const copyOf = (id) => byId(id).content.firstElementChild.cloneNode(true);
const makeCard = (submission) => {
  const card = copyOf("card-template");
  card.id = `submission-${submission.result_key}`;
  setText(card.querySelector(".key"), submission.result_key);
  card.querySelector(".plain").addEventListener("click", () => {
    Object.assign(shown, { key: submission.result_key, exchange: "", oddOnly: false });
    showExchanges();
    byId("exchanges").focus();
    byId("exchanges").scrollIntoView();
  });
  return card;
};
const updateCard = (card, submission) => {
  setText(card.querySelector("time"), moment(submission.accepted_at, state.now));
  const met = card.querySelector(".met");
  met.hidden = !submission.scenario;
  if (submission.scenario && !met.firstChild) met.append("met ", element("span", "scenario", submission.scenario));
  const tasks = submission.tasks.map((task, number) => ({ task, number }));
  setText(card.querySelector(".told"), tasks.length > 1 ? `· ${count(tasks.length, "task")}` : "");
  keep(card.querySelector(".tasks"), tasks, ({ number }) => String(number), () => copyOf("task-template"), updateTask(submission));
  setPairs(card.querySelector(".facts"), factsOf(submission));
};
const showCards = () => {
  const all = state.submissions, some = shown.allCards ? all : all.slice(0, CARDS_AT_FIRST);
  keep(byId("cards"), some, (submission) => submission.result_key, makeCard, updateCard);
  byId("no-cards").hidden = all.length > 0;
  setText(byId("submissions-count"), all.length ? `the latest ${some.length} of ${count(state.totals.accepted, "accepted submission")}` : "");
  offerMore(byId("more-cards"), "allCards", all.length > CARDS_AT_FIRST, `Show the latest ${all.length}`);
};
const offerMore = (button, name, isUseful, text) => {
  button.hidden = !isUseful;
  setText(button, shown[name] ? "Show fewer" : text);
};

// Exchanges

const isError = (entry) => entry.http_status === 0 || entry.http_status >= 300;
const isOdd = (entry) => isError(entry) || entry.scenario !== null;
const keyCell = (key) => {
  const text = key.length > 12 ? `${key.slice(0, 10)}…` : key;
  if (!state.submissions.some((submission) => submission.result_key === key)) {
    const plain = element("span", "key", text);
    plain.title = key;
    return plain;
  }
  const link = element("a", "key", text);
  link.href = `#submission-${encodeURIComponent(key)}`;
  link.title = key;
  link.addEventListener("click", () => {
    shown.allCards = true;
    showCards();
  });
  return link;
};
const makeRow = (entry) => {
  const cells = [
    "", entry.exchange, entry.http_status ? String(entry.http_status) : "no answer", entry.said,
    entry.scenario ? element("span", "scenario", entry.scenario) : "", entry.result_key ? keyCell(entry.result_key) : "",
  ];
  const row = element("tr", isError(entry) ? "error" : isOdd(entry) ? "odd" : "", ...cells.map((content) => element("td", "", content)));
  row.setAttribute("role", "row");
  for (const cell of row.children) cell.setAttribute("role", "cell");
  return row;
};
const showExchanges = () => {
  const wanted = state.exchanges.filter((entry) => (!shown.exchange || entry.exchange === shown.exchange)
    && (!shown.oddOnly || isOdd(entry)) && (!shown.key || entry.result_key === shown.key));
  const some = shown.allRows ? wanted : wanted.slice(0, ROWS_AT_FIRST);
  keep(byId("rows"), some, (entry) => `${entry.number} ${entry.time}`, makeRow,
    (row, entry) => setText(row.firstElementChild, moment(entry.time, state.now)));
  for (const button of document.querySelectorAll("[data-exchange]")) {
    button.setAttribute("aria-pressed", String(button.dataset.exchange === shown.exchange));
  }
  byId("odd-only").setAttribute("aria-pressed", String(shown.oddOnly));
  byId("one-key").hidden = !shown.key;
  setText(byId("one-key"), `Only ${shown.key.slice(0, 10)}… ×`);
  byId("one-key").setAttribute("aria-label", `Only those about ${shown.key}; select to show all`);
  byId("no-rows").hidden = wanted.length > 0;
  byId("rows").parentElement.hidden = wanted.length === 0;
  setText(byId("no-rows"), state.exchanges.length ? "None of the latest exchanges is of this kind." : "Nobody has called yet.");
  setText(byId("exchanges-count"), wanted.length ? `${some.length} of the latest ${state.exchanges.length}, the newest first` : "");
  offerMore(byId("more-rows"), "allRows", wanted.length > ROWS_AT_FIRST, `Show all ${wanted.length}`);
};

// The rest of the state

const showTop = () => {
  const { totals } = state;
  setText(byId("provider-url"), state.provider_url);
  setList(byId("figures"), [
    ["submits", String(totals.submits)], ["accepted", String(totals.accepted)], ["charged", String(totals.charged)],
    ["running", String(state.running)], ["queries", String(totals.queries)], ["downloads", String(totals.downloads)],
    ["credits left", state.credits === null ? "no limit" : String(state.credits)],
  ]);
  setPairs(byId("settings"), settingRows(state.settings));
  const ahead = state.now - Date.now() / 1000;
  setText(byId("clock-ahead"), Math.abs(ahead) < 5 ? "" : `${duration(Math.abs(ahead))} ${ahead > 0 ? "ahead" : "behind"}`);
};
const showRules = () => {
  const rules = state.scenarios.map((rule, index) => ({ rule, key: `${state.scenarios.slice(0, index).filter((each) => each === rule).length} ${rule}` }));
  const make = ({ rule }) => {
    const remove = element("button", "", "Remove");
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove ${rule}`);
    remove.addEventListener("click", () => {
      const at = state.scenarios.indexOf(rule);
      ask({ scenarios: state.scenarios.filter((_, index) => index !== at) }, `${rule} is removed.`);
    });
    return element("li", "", element("span", "", element("code", "", nameOf(rule)), element("span", "times")), remove);
  };
  keep(byId("rules"), rules, ({ key }) => key, make, (item, { rule }) => {
    setText(item.querySelector(".times"), `${timesOf(rule)}; ${struckWords(state.struck[nameOf(rule)] || 0)}`);
  });
  byId("no-scenarios").hidden = rules.length > 0;
  byId("clear-scenarios").hidden = rules.length === 0;
};
const showClock = () => {
  if (!state || failures) return;
  setText(byId("clock"), moment(now(), now()));
  const known = new Map(state.submissions.map((submission) => [submission.result_key, submission]));
  for (const card of byId("cards").children) {
    const submission = known.get(card.dataset.key);
    [...card.querySelectorAll(".task")].forEach((section, number) => tick(section, submission, submission.tasks[number]));
  }
};
const showConnection = (text, className) => {
  const connection = byId("connection");
  setText(connection, text);
  if (connection.className !== `link-state ${className}`) connection.className = `link-state ${className}`;
  document.body.classList.toggle("stale", failures > 0);
  byId("gone").hidden = !failures;
};
const show = () => {
  showTop();
  showCards();
  showExchanges();
  showRules();
  showClock();
};

// Asking

const refresh = async () => {
  clearTimeout(timer);
  if (document.hidden) return;
  let pause = REFRESH_SECONDS, news = null;
  const turn = asked += 1;
  try {
    const answer = await fetch("/_sim/state", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    news = await answer.json();
  } catch {
    // Said below, unless a later question has been asked meanwhile.
  }
  if (turn !== asked) return;
  if (news) {
    state = news;
    heardAt = performance.now();
    failures = 0;
    showConnection("Live", "live");
  } else {
    pause = PAUSES_SECONDS[Math.min(failures, PAUSES_SECONDS.length - 1)];
    failures += 1;
    showConnection("No answer", "lost");
    const last = state ? `What is shown here is from ${moment(state.now, state.now)}. ` : "";
    setText(byId("gone"), `The simulator does not answer. ${last}This page looks for it again, and goes on by itself.`);
  }
  timer = setTimeout(refresh, pause * 1000);
  if (!failures) show();
  if (!failures && !catalogue.size) loadScenarios();
};
const ask = async (wishes, text) => {
  const done = byId("done");
  try {
    const answer = await fetch("/_sim/control", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wishes),
      signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000),
    });
    const body = await answer.json();
    done.className = answer.ok ? "done" : "done refused";
    setText(done, answer.ok ? text : `Refused: ${body.error}`);
  } catch {
    done.className = "done refused";
    setText(done, "The simulator does not answer; nothing has changed.");
  }
  await refresh();
};

// The control panel

const WHEN = [["every call", ""], ["the next call", "@1"], ["the next three calls", "@1-3"], ["half of the calls", "=0.5"], ["one call in ten", "=0.1"], ["one call in fifty", "=0.02"]];
const ADVANCES = [["10 s", 10], ["1 min", 60], ["10 min", 600], ["1 h", 3600], ["1 day", 86400]];
const listScenarios = () => {
  const list = byId("scenario"), chosen = list.value, words = byId("scenario-search").value.toLowerCase().split(/\s+/);
  const groups = new Map();
  for (const each of catalogue.values()) {
    const text = `${each.name} ${each.behaviour}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (!groups.has(each.exchange)) groups.set(each.exchange, element("optgroup"));
    groups.get(each.exchange).append(new Option(each.name, each.name));
  }
  for (const [exchange, group] of groups) group.label = exchange;
  list.replaceChildren(...groups.values());
  list.value = chosen;
  describe();
};
const describe = () => {
  const each = catalogue.get(byId("scenario").value), about = byId("scenario-about");
  byId("scenario-add").disabled = !each;
  about.replaceChildren(...(each ? [element("p", "", each.behaviour), element("p", "", `Sceneshift: ${each.reaction}`)] : []));
};
const loadScenarios = async () => {
  try {
    const answer = await fetch("/_sim/scenarios", { signal: AbortSignal.timeout(PATIENCE_SECONDS * 1000) });
    if (answer.ok) catalogue = new Map((await answer.json()).map((each) => [each.name, each]));
  } catch {
    return;  // The next refresh asks again.
  }
  listScenarios();
};
const wire = () => {
  byId("scenario-when").append(...WHEN.map(([text, suffix]) => new Option(text, suffix)));
  byId("advance").append(...ADVANCES.map(([text, seconds]) => {
    const button = element("button", "", text);
    button.type = "button";
    button.addEventListener("click", () => ask({ advance_seconds: seconds }, `The clock is ${text} further.`));
    return button;
  }));
  byId("scenario-search").addEventListener("input", listScenarios);
  byId("scenario").addEventListener("change", describe);
  byId("add-scenario").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!state || !byId("scenario").value) return;
    const rule = byId("scenario").value + byId("scenario-when").value;
    ask({ scenarios: [rule, ...state.scenarios.filter((each) => each !== rule)] }, `${rule} holds from now on.`);
  });
  byId("clear-scenarios").addEventListener("click", () => ask({ scenarios: [] }, "No scenario is left."));
  byId("set-credits").addEventListener("submit", (event) => {
    event.preventDefault();
    const credits = Number(byId("credits").value);
    ask({ credits }, `The account has ${count(credits, "credit")}.`);
  });
  const forgotten = { forget_nonces: "The gateway has forgotten all nonces.", forget_results: "The provider has forgotten all results." };
  for (const button of document.querySelectorAll("[data-forget]")) {
    const name = button.dataset.forget;
    button.addEventListener("click", () => ask({ [name]: true }, forgotten[name]));
  }
  const filter = (change) => () => { change(); if (state) showExchanges(); };
  for (const button of document.querySelectorAll("[data-exchange]")) {
    button.addEventListener("click", filter(() => { shown.exchange = button.dataset.exchange; }));
  }
  byId("odd-only").addEventListener("click", filter(() => { shown.oddOnly = !shown.oddOnly; }));
  byId("one-key").addEventListener("click", filter(() => { shown.key = ""; byId("exchanges").focus(); }));
  byId("more-rows").addEventListener("click", filter(() => { shown.allRows = !shown.allRows; }));
  byId("more-cards").addEventListener("click", () => { shown.allCards = !shown.allCards; showCards(); });
  document.addEventListener("visibilitychange", refresh);
};

wire();
setInterval(showClock, 1000);
refresh();
