// The page without this script is complete but for what is drawn; with it, names, cells and pictures answer.
// Every text of a log reaches the page as text (textContent), never as markup.
// This file, plots.js and curves.js are one script, in this order, before which stands how many COLORS and DASHES the
// style sheet has.

document.documentElement.classList.add("scripted");
const chosen = new Set(); // places of the submissions that are followed through the page
const onChoice = []; // what is to be done when others are

const find = (selector) => [...document.querySelectorAll(selector)];
const embedded = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const styleOf = (place) => `c${place % COLORS} d${Math.floor(place / COLORS) % DASHES}`;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function grouped(number, digits = 0) {
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function seconds(time) {
  return `${grouped(time, time >= 100 ? 0 : time >= 10 ? 1 : 2)} s`;
}

// ---- Following a submission through the page ----

function choose(place, only = false) {
  const was = chosen.has(place);
  if (only) chosen.clear();
  if (was && !only) chosen.delete(place);
  else chosen.add(place);
  paint();
  for (const act of onChoice) act();
}

function paint() {
  for (const row of find("[data-row]")) {
    const isChosen = chosen.has(Number(row.dataset.row));
    row.classList.toggle("chosen", isChosen);
    row.classList.toggle("faded", chosen.size > 0 && !isChosen);
  }
  for (const button of find("button.pick")) button.setAttribute("aria-pressed", chosen.has(Number(button.dataset.s)));
}

document.addEventListener("click", (event) => {
  const pick = event.target.closest("button.pick");
  if (pick) choose(Number(pick.dataset.s));
});

// ---- Speed-ups over another reference ----

const versus = embedded("versus-data"), reference = document.getElementById("reference");
reference?.addEventListener("change", () => {
  const rows = find("#versus tbody tr");
  versus[Number(reference.value)].forEach((words, place) => {
    rows[place].querySelectorAll("td").forEach((cell, column) => (cell.textContent = words[column]));
  });
});

// ---- What is hidden shows itself: folds that a link leads into, tables that go on ----

function unfold() {
  const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let fold = target && target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
}

addEventListener("hashchange", unfold);
unfold();

const goesOn = (scroll) => scroll.scrollWidth > scroll.clientWidth + scroll.scrollLeft + 2;
function tell(scroll) {
  scroll.classList.toggle("goes-on", goesOn(scroll));
  scroll.classList.toggle("gone-on", scroll.scrollLeft > 2);
}
const sizes = new ResizeObserver((entries) => entries.forEach((entry) => tell(entry.target)));

function watch(scroll) {
  sizes.observe(scroll);
  scroll.addEventListener("scroll", () => tell(scroll), { passive: true });
}

find(".scroll").forEach(watch);

// ---- A page that a browser reads again by itself, until a person stops that ----

const refresh = Number(document.body.dataset.refresh ?? 0);

function arrange(isPaused) {
  sessionStorage.setItem("paused", isPaused ? "yes" : "");
  button.textContent = isPaused ? "Read this file again by itself" : "Stop reading this file again";
  clearTimeout(timer);
  if (!isPaused) timer = setTimeout(() => location.reload(), 1000 * refresh);
}

const isPaused = () => sessionStorage.getItem("paused") === "yes";
const button = element("button", { type: "button" });
let timer;
if (refresh) {
  button.addEventListener("click", () => arrange(!isPaused()));
  document.querySelector("header").append(button);
  arrange(isPaused());
}
