// The curves: of what is chosen by the controls, a picture and the trials that stand for it.

// Adds up the differences in which a column is embedded; null stays no number.
function column(differences, unit) {
  let sum = 0;
  return differences.map((difference) => (difference === null ? NaN : (sum += difference) * unit));
}

const MOST_DASHED = 6; // trials of one submission, of which more are a tangle that dashes only slow down

function curvesView(data) {
  const plot = document.getElementById("curves-plot"), select = document.getElementById("curves-workload");
  const onlyFollowed = document.getElementById("curves-followed");
  let workload, shown;

  const checked = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
  const isOn = (id) => document.getElementById(id).checked;
  const isShown = (place) => !onlyFollowed.checked || chosen.size === 0 || chosen.has(place);

  function update() {
    workload = data.workloads[Number(select.value)];
    const axis = checked("curves-axis"), show = checked("curves-show");
    const stand = workload.trials.filter((trial) => isShown(trial.s) && trial.v.length > 0);
    if (show === "bands") {
      const bands = workload.bands.map((band, place) => ({ band: band[axis], place }));
      shown = bands.filter(({ band, place }) => band && isShown(place)).map(({ band, place }) => ofStudies(band, place));
    } else {
      const wanted = stand.filter((trial) => show === "all" || trial.m & 1);
      const places = [...new Set(wanted.map((trial) => trial.s))];
      shown = places.map((place) => ofTrials(wanted.filter((trial) => trial.s === place), axis));
    }
    const values = shown.flatMap((line) => line.y);
    const guides = [{ y: workload.target, label: `target ${workload.goal === "min" ? "≤" : "≥"} ${workload.target}` }];
    const across = shown.flatMap((line) => line.x).filter(Number.isFinite), end = across.reduce((most, value) => Math.max(most, value), 0);
    const x = { label: axis === "t" ? "charged time, s" : "steps", log: isOn("curves-log-x") };
    if (!x.log) x.range = [-0.01 * end, 1.02 * end || 1];
    const y = { label: `validation ${workload.metric}`, log: isOn("curves-log-y"), range: range(values) };
    const lines = shown.map((line) => (x.log ? above(line, "x") : line)).map((line) => (y.log ? above(line, "y") : line));
    draw(plot, { height: 440, x, y, lines, guides }, (index, at) => lead(shown[index], at));
    list(show === "all" ? stand : stand.filter((trial) => trial.m & (show === "bands" ? 2 : 1)));
  }

  function ofStudies(band, place) {
    const tips = band.x.map((at, index) => {
      const spread = `${band.low[index]} to ${band.high[index]}`;
      return `median of ${band.of} studies: ${workload.metric} ${band.y[index]} (${spread}) at ${grouped(at)}`;
    });
    return { s: place, name: data.submissions[place], x: band.x, y: band.y, low: band.low, high: band.high, tips };
  }

  // All of a submission's trials as one line with gaps: a picture of hundreds of lines would be slow.
  function ofTrials(trials, axis) {
    const joined = { s: trials[0].s, name: data.submissions[trials[0].s], x: [], y: [], tips: [], marks: [], of: [] };
    for (const trial of trials) {
      const start = joined.x.length, { x, y, tips, mark } = ofTrial(trial, axis);
      joined.x.push(...x, NaN), joined.y.push(...y, NaN), joined.tips.push(...tips, "");
      joined.of.push({ trial, end: joined.x.length });
      if (mark !== undefined) joined.marks.push(start + mark);
    }
    return { ...joined, dots: joined.x.length <= 21 * trials.length, solid: trials.length > MOST_DASHED };
  }

  function ofTrial(trial, axis) {
    const times = column(trial.t, workload.second), steps = column(trial.n, 1), y = column(trial.v, workload.value);
    const tips = y.map((value, index) => {
      const step = Number.isFinite(steps[index]) ? `, step ${grouped(steps[index])}` : "";
      return `${trial.u}, ${trial.k}: ${workload.metric} ${Number(value.toPrecision(5))} at ${seconds(times[index])}${step}`;
    });
    const away = (index) => Math.abs(times[index] - trial.h);
    const mark = trial.h === null ? undefined : times.reduce((best, _, index) => (away(index) < away(best) ? index : best), 0);
    return { x: axis === "t" ? times : steps, y, tips, mark };
  }

  // On a logarithmic axis there is nothing at and below 0.
  function above(line, axis) {
    const sides = axis === "y" && line.low ? { low: line.low.map(positive), high: line.high.map(positive) } : {};
    return { ...line, [axis]: line[axis].map(positive), ...sides };
  }
  const positive = (value) => (value > 0 ? value : NaN);

  // Of most of the values, and of the target: a curve that begins or ends far off leaves the frame.
  function range(values) {
    const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
    if (isOn("curves-log-y") || sorted.length === 0) return undefined;
    const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
    const [from, to] = workload.goal === "min" ? [0, 0.9] : [0.1, 1];
    const low = Math.min(at(from), workload.target), high = Math.max(at(to), workload.target);
    const margin = 0.06 * (high - low || Math.abs(high) || 1);
    return [low - margin, high + margin];
  }

  // ---- The trials below the picture ----

  const HEADER = ["submission", "trial", "ended", "best value", "short of the target", "target reached", "files"];

  function list(trials) {
    const most = 200, rows = trials.slice(0, most).map(rowOf);
    const head = element("tr", {}, ...HEADER.map((name) => element("th", { scope: "col" }, name)));
    const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
    const more = trials.length > most ? [element("p", { class: "lead" }, `${grouped(trials.length - most)} more are in trials.csv.`)] : [];
    const label = { class: "scroll", tabindex: "0", role: "group", "aria-label": `Trials of ${workload.name}` };
    const scroll = element("div", label, table);
    document.getElementById("curves-trials").replaceChildren(scroll, element("p", { class: "more", "aria-hidden": "true" }, "The table goes on to the right →"), ...more);
    watch(scroll);
    paint();
  }

  function rowOf(trial) {
    const name = element("button", { type: "button", class: "pick", "aria-pressed": "false", "data-s": trial.s });
    const swatch = document.querySelector(`.pick[data-s="${trial.s}"] .swatch`).cloneNode(true), words = element("span");
    words.append(...data.submissions[trial.s].split(/(?<=_)/).flatMap((part) => [part, element("wbr")]));
    name.append(swatch, words);
    const cell = (...words) => element("td", { class: "number" }, ...words);
    const setting = trial.y === null ? [] : [element("details", {}, element("summary", {}, "hyperparameters"), element("code", {}, data.hyperparameters[trial.y]))];
    const short = trial.g === undefined ? "" : trial.g <= 0 ? "met" : `${grouped(100 * trial.g, 2)} %`;
    return element(
      "tr", { "data-row": trial.s, id: idOf(trial) },
      element("th", { scope: "row", class: "name" }, name), element("td", { class: "trial" }, `${trial.u}, ${trial.k}`, ...setting),
      element("td", {}, trial.x), cell(trial.b ?? ""), cell(short), cell(trial.h === null ? "" : seconds(trial.h)),
      element("td", { class: "files" }, fileOf(trial)),
    );
  }

  const idOf = (trial) => `trial-${data.workloads.indexOf(workload)}-${workload.trials.indexOf(trial)}`;

  // A link where the logs lay when the page was made; by mail, only the path is of use.
  function fileOf(trial) {
    if (!trial.f) return element("code", {}, trial.p);
    const path = trial.p.split("/").map(encodeURIComponent).join("/");
    return element("a", { href: `${data.folder}/${path}/eval_measurements.csv` }, element("code", {}, trial.p));
  }

  // From a curve to the row of its trial, or of the one that decides.
  function lead(line, at) {
    const decides = (trial) => trial.s === line.s && trial.m & 2;
    const trial = line.of ? line.of.find(({ end }) => at < end)?.trial : workload.trials.find(decides);
    const row = trial && document.getElementById(idOf(trial));
    if (!row) return;
    find(".led-to").forEach((other) => other.classList.remove("led-to"));
    row.classList.add("led-to");
    row.scrollIntoView({ block: "nearest" });
  }

  // ---- From anywhere to a curve ----

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.to-curve");
    const place = link ? data.workloads.findIndex((workload) => workload.name === link.dataset.workload) : -1;
    if (place < 0 || data.workloads[place].trials.length === 0) return;
    select.value = String(place);
    if (!chosen.has(Number(link.dataset.s))) choose(Number(link.dataset.s), true);
    update();
  });

  document.getElementById("curves-view").hidden = false;
  document.querySelector(".controls + .beside .legend").replaceChildren(
    ...[...document.querySelectorAll("#profile .legend > *")].map((part) => part.cloneNode(true)),
  );
  for (const input of find("#curves .controls select, #curves .controls input")) input.addEventListener("change", update);
  onChoice.push(() => onlyFollowed.checked && update());
  const inSight = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      inSight.disconnect();
      if (!drawn.has(plot)) update();
    },
    { rootMargin: "300px" },
  );
  inSight.observe(plot);
  addEventListener("load", () => (window.requestIdleCallback ?? setTimeout)(() => drawn.has(plot) || update()));
}

const curvesData = embedded("curves-data");
if (curvesData) curvesView(curvesData);
