// The training curves. It follows report.js in the page's one script, and uses what stands there.

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
