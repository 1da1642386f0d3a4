// Pictures: what each shows is JSON beside it (`figure` in markup.py says of what kind), BokehJS draws it.

const FONT = "system-ui, sans-serif";
const drawn = new Map(); // host -> {content, lines, press}, of what has been drawn
const views = new Map(); // host -> Bokeh's view of it

// A submission's colour and dashes are those of the style sheet, in either theme.
function strokeOf(place) {
  const probe = element("span", { class: `line ${styleOf(place)}` });
  document.body.append(probe);
  const style = getComputedStyle(probe);
  const dash = style.strokeDasharray === "none" ? [] : style.strokeDasharray.split(/[ ,]+/).map(parseFloat);
  const color = style.getPropertyValue("--c").trim();
  probe.remove();
  return { color, dash };
}

const colorOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Of a curve that goes up and down only, both ends of each step.
function stepped(x, y, tips) {
  const corners = { x: [], y: [], tips: [] };
  x.forEach((at, index) => {
    if (index > 0) corners.x.push(at), corners.y.push(y[index - 1]), corners.tips.push(tips[index - 1]);
    corners.x.push(at), corners.y.push(y[index]), corners.tips.push(tips[index]);
  });
  return corners;
}

function prepareAxis(axis, content, isNarrow) {
  Object.assign(axis, {
    axis_label: content.label, axis_label_text_color: colorOf("--grey"), axis_label_text_font_style: "normal",
    axis_label_text_font_size: "13px", axis_label_text_font: FONT, major_label_text_font: FONT, major_label_text_color: colorOf("--grey"),
    major_label_text_font_size: "12px", axis_line_color: null, minor_tick_line_color: null,
    major_tick_line_color: colorOf("--line"), major_label_policy: new Bokeh.NoOverlap(),
  });
  if (content.ticks) {
    axis.ticker = new Bokeh.FixedTicker({ ticks: content.ticks.map(([at]) => at) });
    axis.major_label_overrides = new Map(content.ticks);
  } else {
    if (isNarrow) axis.ticker.desired_num_ticks = 4;
    axis.formatter = new Bokeh.NumeralTickFormatter({ format: "0,0.[00000]" });
  }
}

// As far as it may be zoomed: a dashed line that is many times as long as the picture takes a browser seconds.
const DEEPEST = 50;

function rangeOf({ range, log }) {
  if (!range) return new Bokeh.DataRange1d();
  const [start, end] = range;
  return new Bokeh.Range1d({ start, end, min_interval: log ? null : (end - start) / DEEPEST });
}

// Draws `content` into `host`, in place of what it showed. press: takes the index of a line that is pressed, and where.
function draw(host, content, press = null) {
  const isNarrow = host.clientWidth < 560, height = Math.min(content.height ?? 420, isNarrow ? 480 : Infinity);
  const figure = new Bokeh.Plotting.figure({
    height, sizing_mode: "stretch_width", toolbar_location: "above", x_axis_type: content.x.log ? "log" : "linear", y_axis_type: content.y.log ? "log" : "linear",
    x_range: rangeOf(content.x), y_range: rangeOf(content.y), tools: [], background_fill_color: null,
    border_fill_color: null, outline_line_color: null, min_border_right: 12,
  });
  const [below, left] = [figure.below[0], figure.left[0]];
  prepareAxis(below, content.x, isNarrow);
  prepareAxis(left, content.y, isNarrow);
  for (const grid of figure.center) Object.assign(grid, { grid_line_color: colorOf("--line"), ticker: (grid.dimension === 0 ? below : left).ticker });
  const lines = content.lines.map((line, index) => drawLine(figure, line, index));
  for (const guide of content.guides ?? []) drawGuide(figure, guide);
  drawWords(figure, content, host.clientWidth, height);
  addTools(figure, lines, press);
  emphasize(lines);
  views.get(host)?.remove();
  views.delete(host);
  host.replaceChildren();
  host.style.minHeight = "0";
  const mine = { content, lines, press };
  drawn.set(host, mine);
  Bokeh.Plotting.show(figure, host).then((view) => (drawn.get(host) === mine ? views.set(host, view) : view.remove()));
}

function drawLine(figure, line, index) {
  const { color, dash } = strokeOf(line.s);
  const tips = line.tips ?? line.x.map(() => "");
  const data = line.step ? stepped(line.x, line.y, tips) : { x: line.x, y: line.y, tips };
  data.name = data.x.map(() => line.name);
  const parts = { s: line.s, index };
  if (line.low) {
    const band = line.band ?? line.x;
    const sides = line.step || line.band ? [stepped(band, line.low, band), stepped(band, line.high, band)] : null;
    const area = { x: sides ? sides[0].x : band, low: sides ? sides[0].y : line.low, high: sides ? sides[1].y : line.high };
    const source = new Bokeh.ColumnDataSource({ data: area });
    const style = { source, fill_color: color, fill_alpha: 0.16 };
    parts.band = figure.varea({ field: "x" }, { field: "low" }, { field: "high" }, style);
  }
  const source = new Bokeh.ColumnDataSource({ data });
  const style = { source, line_color: color, line_dash: line.solid ? [] : dash, line_width: 2, line_join: "bevel" };
  parts.line = figure.line({ field: "x" }, { field: "y" }, style);
  if (line.dots) {
    const dots = { source, size: 5, fill_color: color, line_color: color };
    parts.dots = figure.scatter({ field: "x" }, { field: "y" }, dots);
  }
  if (line.marks?.length) {
    const hit = { marker: "diamond", size: 12, fill_color: color, line_color: colorOf("--page") };
    parts.marks = figure.scatter(line.marks.map((at) => data.x[at]), line.marks.map((at) => data.y[at]), hit);
  }
  return parts;
}

function drawGuide(figure, guide) {
  const isLevel = guide.y !== undefined, at = isLevel ? guide.y : guide.x, color = colorOf("--caveat");
  const line = { location: at, dimension: isLevel ? "width" : "height", line_color: color, line_dash: [6, 4] };
  figure.add_layout(new Bokeh.Span({ ...line, line_width: 1.5 }));
  const place = isLevel ? { x: 6, x_units: "screen", y: at, y_offset: 3 } : { x: at, x_offset: 5, y: 6, y_units: "screen" };
  const words = { text: guide.label, text_color: color, text_font_size: "12px", text_font: FONT };
  figure.add_layout(new Bokeh.Label({ ...place, ...words, background_fill_color: colorOf("--page"), background_fill_alpha: 0.8 }));
}

const BESIDE = [58, 82], LINE = 15; // pixels: axes and tools beside what is drawn, across and up; a line of words

// Words in lines that are no wider than `width` pixels; where they are more than `most` lines, an ellipsis says so.
function inLines(text, width, most) {
  const pen = document.createElement("canvas").getContext("2d"), lines = [];
  pen.font = `12px ${FONT}`;
  const fits = (line) => pen.measureText(line).width <= width;
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    if (last >= 0 && fits(`${lines[last]} ${word}`)) lines[last] += ` ${word}`;
    else if (last + 1 < most) lines.push(word);
    else {
      while (lines[last].includes(" ") && !fits(`${lines[last]} …`)) lines[last] = lines[last].replace(/ [^ ]*$/, "");
      lines[last] += " …";
      break;
    }
  }
  return lines.join("\n");
}

// Right of their places, in as many lines as do not meet those of the next.
function drawWords(figure, { words = [], x, y }, width, height) {
  if (words.length === 0) return;
  const [left, right] = x.range, [low, high] = y.range, levels = words.map((word) => word.y);
  const texts = words.map((word) => {
    const room = ((right - word.x) / (right - left)) * (width - BESIDE[0]) - 8;
    const apart = Math.min(...levels.filter((level) => level !== word.y).map((level) => Math.abs(level - word.y)), high - low);
    return inLines(word.text, room, Math.max(1, Math.floor(((apart / (high - low)) * (height - BESIDE[1]) - 8) / LINE)));
  });
  const style = { text_color: colorOf("--ink"), text_font_size: "12px", text_baseline: "middle", x_offset: 8 };
  const data = { x: words.map((word) => word.x), y: levels, text: texts };
  const source = new Bokeh.ColumnDataSource({ data });
  figure.text({ field: "x" }, { field: "y" }, { field: "text" }, { source, ...style, text_font: FONT });
}

function addTools(figure, lines, press) {
  const pointed = lines.map((line) => line.line);
  const tooltips = '<div style="max-width:26rem;white-space:normal"><b>@name</b><br>@tips</div>';
  const zoom = new Bokeh.BoxZoomTool();
  figure.add_tools(
    zoom, new Bokeh.PanTool(), new Bokeh.WheelZoomTool(), new Bokeh.ResetTool(), new Bokeh.SaveTool(),
    new Bokeh.HoverTool({ renderers: pointed, tooltips, line_policy: "nearest", attachment: "above" }),
  );
  // A finger or a wheel moves the page, until a tool is chosen.
  figure.toolbar.active_drag = matchMedia("(pointer: coarse)").matches ? null : zoom;
  figure.toolbar.active_scroll = null;
  figure.toolbar.logo = null;
  if (!press) return;
  figure.add_tools(new Bokeh.TapTool({ renderers: pointed }));
  for (const { line, index } of lines) {
    line.nonselection_glyph = null;
    line.selection_glyph = null;
    const selected = line.data_source.selected;
    selected.properties.line_indices.change.connect(() => selected.line_indices.length && press(index, selected.line_indices[0]));
  }
}

// What is followed stands out.
function emphasize(lines) {
  for (const { s, line, band, dots, marks } of lines) {
    const isFaint = chosen.size > 0 && !chosen.has(s), isFirst = chosen.size === 0 ? s === 0 : chosen.has(s);
    line.glyph.line_alpha = isFaint ? 0.15 : 1;
    line.glyph.line_width = isFirst ? 3 : 1.8;
    for (const part of [dots, marks]) if (part) part.visible = !isFaint;
    if (band) band.visible = isFirst || (chosen.size === 0 && lines.length <= 3);
  }
}

onChoice.push(() => drawn.forEach(({ lines }) => emphasize(lines)));

function drawEmbedded(host) {
  if (!drawn.has(host)) draw(host, embedded(`${host.id}-data`));
}

if (window.Bokeh) {
  Bokeh.logger.set_level("error");
  const inSight = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
      inSight.unobserve(entry.target);
      drawEmbedded(entry.target);
    }),
    { rootMargin: "300px" },
  );
  find(".figure:not(.live)").forEach((host) => inSight.observe(host));
  // Paper waits for nothing: what will be printed is drawn before, when there is nothing else to do, and copied then.
  const idle = window.requestIdleCallback ?? setTimeout;
  const drawNext = () => {
    const next = find(".figure:not(.live)").find((host) => !drawn.has(host) && host.clientWidth > 0);
    if (next) drawEmbedded(next), idle(drawNext);
  };
  addEventListener("load", () => idle(drawNext));
  addEventListener("beforeprint", () => views.forEach((view, host) => {
    host.querySelector(".paper")?.remove();
    const paper = view.export("png").canvas;
    paper.className = "paper";
    paper.removeAttribute("style");
    host.append(paper);
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [host, { content, press }] of [...drawn]) draw(host, content, press);
  });
}
