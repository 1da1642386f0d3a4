// The page without this script is complete but for the training curves; with it, pictures answer to a pointer.
// Every text of a log reaches the page as text (textContent), never as markup.
"use strict";

const COLORS = 7, DASHES = 4, SVG = "http://www.w3.org/2000/svg";
const chosen = new Set(); // places of the submissions that are followed through the page

const find = (selector) => [...document.querySelectorAll(selector)];
const embedded = (id) => JSON.parse(document.getElementById(id)?.textContent ?? "null");
const styleOf = (place) => `c${place % COLORS} d${Math.floor(place / COLORS) % DASHES}`;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  return filled(made, attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function seconds(time) {
  const digits = time >= 100 ? 0 : time >= 10 ? 1 : 2;
  return `${grouped(time, digits)} s`;
}

function grouped(number, digits = 0) {
  return number.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// Where a pointer is, in the units of a picture's viewBox.
function inPicture(svg, event) {
  return new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
}

// ---- Following a submission through the page ----

function choose(place) {
  if (!chosen.delete(place)) chosen.add(place);
  paint();
}

function paint() {
  for (const part of find("svg [data-s], [data-row]")) {
    const isChosen = chosen.has(Number(part.dataset.s ?? part.dataset.row));
    part.classList.toggle("chosen", isChosen);
    part.classList.toggle("faded", chosen.size > 0 && !isChosen);
  }
  for (const button of find("button.pick")) button.setAttribute("aria-pressed", chosen.has(Number(button.dataset.s)));
}

for (const part of find(".pick")) {
  part.addEventListener("click", () => choose(Number(part.dataset.s)));
  if (part instanceof SVGElement) {
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(Number(part.dataset.s));
    });
  }
}

// ---- The performance profile ----

function followProfile(svg, data, says) {
  const { left, right, top, floor } = Object.fromEntries(
    Object.entries(svg.dataset).map(([name, value]) => [name, Number(value)]),
  );
  const cross = svg.querySelector(".cross");
  const curves = new Map([...svg.querySelectorAll(".curve")].map((curve) => [Number(curve.dataset.s), curve]));
  const within = (place, tau) => data.ratios[place].filter((ratio) => ratio !== null && ratio <= tau).length;

  function nearest(point, tau) {
    const places = [...curves.keys()].filter((place) => chosen.size === 0 || chosen.has(place));
    const distance = (place) => {
      const shift = curves.get(place).transform.baseVal.consolidate().matrix.f;
      return Math.abs(floor - ((floor - top) * within(place, tau)) / data.workloads.length + shift - point.y);
    };
    return places.reduce((best, place) => (distance(place) < distance(best) ? place : best), places[0]);
  }

  function tell(place, tau) {
    const named = (test, word) =>
      data.workloads.filter((_, index) => test(data.ratios[place][index])).map((name) => word(name)).join(", ") || "none";
    const index = (name) => data.workloads.indexOf(name);
    says.replaceChildren(
      element("b", {}, data.submissions[place]),
      ` within ${tau.toFixed(2)}x of the fastest: ${within(place, tau)} of ${data.workloads.length} workloads. Reached: `,
      named((ratio) => ratio !== null && ratio <= tau, (name) => `${name} (${data.ratios[place][index(name)].toFixed(2)}x)`),
      ". Later: ",
      named((ratio) => ratio !== null && ratio > tau, (name) => `${name} (${data.ratios[place][index(name)].toFixed(2)}x)`),
      ". Lost: ",
      named((ratio) => ratio === null, (name) => `${name} (${data.lost[place][index(name)]})`),
      ".",
    );
  }

  function move(event) {
    const point = inPicture(svg, event);
    if (point.x < left || point.x > right) return leave();
    const tau = 1 + (3 * (point.x - left)) / (right - left);
    const place = nearest(point, tau);
    for (const [other, curve] of curves) curve.classList.toggle("near", other === place);
    for (const end of ["x1", "x2"]) cross.setAttribute(end, point.x);
    cross.setAttribute("visibility", "visible");
    tell(place, tau);
    return place;
  }

  function leave() {
    cross.setAttribute("visibility", "hidden");
    for (const curve of curves.values()) curve.classList.remove("near");
  }

  svg.addEventListener("pointermove", move);
  svg.addEventListener("pointerleave", leave);
  svg.addEventListener("click", (event) => {
    if (event.target.closest(".pick")) return;
    const place = move(event);
    if (place !== undefined) choose(place);
  });
}

const profileData = embedded("profile-data");
if (profileData && profileData.submissions.length > 0) {
  const says = document.getElementById("profile-says");
  says.textContent = "Point at a curve to see which workloads it has reached at that τ; click to follow a submission.";
  for (const svg of find(".profile > svg")) followProfile(svg, profileData, says);
}
