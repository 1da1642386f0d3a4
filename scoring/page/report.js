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

// ---- The training curves ----

// Adds up the differences in which a column is embedded; null stays no number.
function column(differences, unit) {
  let sum = 0;
  return differences.map((difference) => (difference === null ? NaN : (sum += difference) * unit));
}

function quantile(sorted, fraction) {
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(fraction * (sorted.length - 1))))];
}

// Round numbers between two ends, about `count` of them.
function ticks(low, high, count) {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, index) => (first + index) * step);
}

function curvesView(data) {
  const plot = document.getElementById("curves-plot"), says = document.getElementById("curves-says");
  const matrix = document.getElementById("curves-trials"), select = document.getElementById("curves-workload");
  const hint = "Point at a curve to see its trial; click to follow its submission.";
  let workload, shown, points;

  const checked = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
  const isReadable = (trial) => trial.v.length > 0;

  function reset() {
    workload = data.workloads[Number(select.value)];
    const wanted = { deciding: (trial) => trial.m & 2, winners: (trial) => trial.m & 1, all: () => true };
    shown = new Set(workload.trials.filter((trial) => isReadable(trial) && wanted[checked("curves-trials")](trial)));
    says.textContent = hint;
    list();
    draw();
  }

  // A button for each trial, a row for each submission, in groups by study.
  function list() {
    const rows = data.submissions.map((submission, place) => {
      const studies = new Map();
      for (const trial of workload.trials.filter((trial) => trial.s === place)) {
        studies.set(trial.u, [...(studies.get(trial.u) ?? []), trial]);
      }
      const cells = [...studies].map(([study, trials]) => element("td", { title: study }, ...trials.map(button)));
      const name = element("th", { scope: "row", class: "name" }, submission);
      return element("tr", { class: styleOf(place), "data-row": place }, name, ...cells);
    });
    matrix.replaceChildren(element("table", {}, element("tbody", {}, ...rows)));
    paint();
  }

  function button(trial) {
    const label = `${trial.u}, ${trial.k}: ${told(trial)}`;
    const made = element("button", { type: "button", class: "trial", title: label, "aria-label": label });
    made.textContent = trial.k.replace(/^trial_/, "");
    made.disabled = !isReadable(trial);
    made.classList.toggle("hit", trial.h !== null);
    made.setAttribute("aria-pressed", shown.has(trial));
    made.addEventListener("click", () => {
      if (!shown.delete(trial)) shown.add(trial);
      made.setAttribute("aria-pressed", shown.has(trial));
      draw();
    });
    return made;
  }

  function told(trial) {
    if (!isReadable(trial)) return `no evaluations${trial.x && ` (${trial.x})`}`;
    const end = trial.h === null ? "never reached the target" : `reached the target at ${seconds(trial.h)}`;
    return trial.x && trial.x !== "reached" ? `${end} (${trial.x})` : end;
  }

  // Of most of the values, and of the target: a curve that begins or ends far off leaves the frame.
  function range(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (sorted.length === 0) return [workload.target - 1, workload.target + 1];
    const [from, to] = workload.goal === "min" ? [0, 0.9] : [0.1, 1];
    const low = Math.min(quantile(sorted, from), workload.target), high = Math.max(quantile(sorted, to), workload.target);
    const margin = 0.06 * (high - low || Math.abs(high) || 1);
    return [low - margin, high + margin];
  }

  function draw() {
    const axis = checked("curves-axis");
    const curves = [...shown].map((trial) => ({
      trial,
      x: column(trial[axis], axis === "t" ? workload.second : 1),
      y: column(trial.v, workload.value),
      t: column(trial.t, workload.second),
      n: column(trial.n, 1),
    }));
    const width = Math.max(320, plot.clientWidth || 980), height = width < 600 ? 320 : 440;
    const frame = { left: 58, right: width - 12, top: 30, floor: height - 40 };
    const [low, high] = range(curves.flatMap((curve) => curve.y));
    const end = 1.02 * Math.max(...curves.flatMap((curve) => curve.x.filter(Number.isFinite)), 1e-9);
    const x = (value) => frame.left + ((frame.right - frame.left) * value) / end;
    const y = (value) => frame.floor - ((frame.floor - frame.top) * (value - low)) / (high - low);
    plot.setAttribute("viewBox", `0 0 ${width} ${height}`);
    plot.replaceChildren(...axes(frame, x, y, low, high, end, axis));
    const inside = drawn("g", { "clip-path": "url(#curves-frame)" });
    points = [];
    for (const curve of curves) inside.append(line(curve, x, y));
    plot.append(inside, ...targetLine(frame, y));
    paint();
  }

  function axes(frame, x, y, low, high, end, axis) {
    const size = { x: frame.left, y: frame.top, width: frame.right - frame.left, height: frame.floor - frame.top };
    const parts = [drawn("clipPath", { id: "curves-frame" }, drawn("rect", size))];
    for (const value of ticks(low, high, 6)) {
      parts.push(drawn("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(value), y2: y(value) }));
      const place = { class: "tick", x: frame.left - 8, y: y(value) + 4, "text-anchor": "end" };
      parts.push(drawn("text", place, String(Number(value.toPrecision(5)))));
    }
    for (const value of ticks(0, end, frame.right < 600 ? 3 : 7)) {
      const place = { class: "tick", x: x(value), y: frame.floor + 18, "text-anchor": "middle" };
      parts.push(drawn("text", place, value.toLocaleString("en-US")));
    }
    const below = { class: "tick", x: frame.right, y: frame.floor + 35, "text-anchor": "end" };
    parts.push(drawn("text", below, axis === "t" ? "charged time, s" : "steps"));
    parts.push(drawn("text", { class: "tick", x: 0, y: 14 }, `validation ${workload.metric}`));
    return parts;
  }

  // On top of the curves.
  function targetLine(frame, y) {
    const target = y(workload.target), above = target - 6 < frame.top + 10 ? target + 15 : target - 6;
    const name = { class: "target-name", x: frame.right - 4, y: above, "text-anchor": "end" };
    return [
      drawn("line", { class: "target", x1: frame.left, x2: frame.right, y1: target, y2: target }),
      drawn("text", name, `target ${workload.goal === "min" ? "≤" : "≥"} ${workload.target}`),
    ];
  }

  function line(curve, x, y) {
    const { trial } = curve;
    const group = drawn("g", { class: styleOf(trial.s), "data-s": trial.s });
    let path = "", pen = "M";
    curve.x.forEach((value, index) => {
      const at = { x: x(value), y: y(curve.y[index]), index, curve, group };
      if (!Number.isFinite(at.x + at.y)) return void (pen = "M");
      path += `${pen}${at.x.toFixed(1)} ${at.y.toFixed(1)}`;
      pen = "L";
      points.push(at);
    });
    group.append(drawn("path", { class: "line", d: path }));
    const own = points.filter((point) => point.curve === curve);
    if (own.length <= 20) group.append(...own.map((point) => drawn("circle", { cx: point.x, cy: point.y, r: 2 })));
    if (trial.h !== null) {
      const away = (point) => Math.abs(curve.t[point.index] - trial.h);
      const hit = own.reduce((best, point) => (away(point) < away(best) ? point : best), own[0]);
      if (hit) group.append(drawn("circle", { cx: hit.x, cy: hit.y, r: 4.5 }));
    }
    return group;
  }

  function nearest(event) {
    const at = inPicture(plot, event);
    const away = (point) => Math.hypot(point.x - at.x, point.y - at.y);
    const followed = points.filter((point) => chosen.size === 0 || chosen.has(point.curve.trial.s));
    const best = followed.reduce((best, point) => (!best || away(point) < away(best) ? point : best), null);
    return best && away(best) < 40 ? best : null;
  }

  plot.addEventListener("pointermove", (event) => {
    for (const near of plot.querySelectorAll(".near")) near.classList.remove("near");
    const point = nearest(event);
    if (!point) return void (says.textContent = hint);
    const { curve, index } = point, { trial } = curve;
    point.group.classList.add("near");
    const step = Number.isFinite(curve.n[index]) ? `, step ${grouped(curve.n[index])}` : "";
    const setting = trial.y === null ? "" : ` Hyperparameters ${data.hyperparameters[trial.y]}.`;
    says.replaceChildren(
      element("b", {}, data.submissions[trial.s]),
      ` ${trial.u}, ${trial.k}: ${workload.metric} ${Number(curve.y[index].toPrecision(5))} at ${seconds(curve.t[index])}`,
      `${step}; ${told(trial)}. `,
      element("code", {}, trial.p),
      setting,
    );
  });
  plot.addEventListener("click", (event) => {
    const point = nearest(event);
    if (point) choose(point.curve.trial.s);
  });
  select.addEventListener("change", reset);
  for (const input of find('input[name="curves-trials"]')) input.addEventListener("change", reset);
  for (const input of find('input[name="curves-axis"]')) input.addEventListener("change", draw);
  window.addEventListener("resize", draw);
  document.getElementById("curves-view").hidden = false;
  reset();
}

const curvesData = embedded("curves-data");
if (curvesData) curvesView(curvesData);
