// Two kinds of chart. Each has a legend with the current numbers, and a table with the data of the picture.

import uPlot from "./uPlot.esm.js";
import { element, say, table } from "./dom.js";
import * as format from "./format.js";

const HEIGHT = 150;
const SHORTEST = 60; // seconds of the time axis
const ROWS = 12;

const charts = new Set();

/** Draw all charts again in the current colours. */
export function recolour() {
  for (const chart of charts) chart.restart();
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The parts of both kinds: legend, canvas, table, width. */
class Chart {
  constructor(place, title, lines) {
    this.title = title;
    this.lines = lines;
    this.values = lines.map((line) => element("b", { textContent: "–" }));
    const items = lines.map((line, i) =>
      element(
        "li",
        { className: `line-${line.colour}`, data: { ...(line.dash && { dash: "" }), ...(line.fill && { fill: "" }) } },
        this.values[i],
        element("span", { textContent: line.label }),
      ),
    );
    // The legend and the table hold what the picture shows.
    this.plot = element("div", { className: "plot", ariaHidden: "true" });
    this.details = element("details", {}, element("summary", { textContent: "Table" }));
    this.rows = element("div", { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `${title}: table` });
    this.details.append(this.rows);
    this.details.addEventListener("toggle", () => this.tabulate());
    place.replaceChildren(element("ul", { className: "legend" }, ...items), this.plot, this.details);
    new ResizeObserver(() => this.resize()).observe(this.plot);
    charts.add(this);
  }

  restart() {
    this.uplot?.destroy();
    this.uplot = null;
    if (this.data) this.draw();
  }

  resize() {
    if (this.uplot && this.plot.clientWidth) this.uplot.setSize({ width: this.plot.clientWidth, height: HEIGHT });
  }

  draw() {
    if (this.uplot) this.uplot.setData(this.data);
    else if (this.plot.clientWidth) this.uplot = new uPlot(this.options(), this.data, this.plot);
  }

  /** Show the values under the pointer, or the latest ones if there is no pointer. */
  legend(index) {
    this.lines.forEach((line, i) => say(this.values[i], this.reading(line, i, index)));
  }

  options() {
    const axis = { stroke: colour("quiet"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
    return {
      width: this.plot.clientWidth,
      height: HEIGHT,
      padding: [8, 16, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      axes: [
        { ...axis, size: 24, gap: 4, font: "11px system-ui" },
        { ...axis, size: 46, gap: 4, font: "11px system-ui" },
      ],
      hooks: { setCursor: [(uplot) => this.legend(uplot.cursor.left >= 0 ? uplot.cursor.idx : null)] },
    };
  }

  stroke(line) {
    return { stroke: colour(line.colour), width: 2, dash: line.dash, points: { show: false } };
  }
}

/** Lines over the last minutes. A line has a key of a sample, a label, a colour and a format. */
export class TimeChart extends Chart {
  constructor(place, title, lines, { top = null } = {}) {
    super(place, title, lines);
    this.top = top;
  }

  update(samples) {
    this.samples = samples;
    const { time } = samples;
    const now = time.at(-1);
    this.span = Math.max(SHORTEST, now - time[0]);
    this.data = [time.map((t) => t - now), ...this.lines.map((line) => line.of(samples))];
    this.draw();
    if (!this.uplot || !(this.uplot.cursor.left >= 0)) this.legend(null);
    this.tabulate();
  }

  reading(line, i, index) {
    const values = this.data[i + 1];
    return line.format(values[index ?? values.length - 1]);
  }

  options() {
    const options = super.options();
    const [x, y] = options.axes;
    x.values = (_, splits) => splits.map(format.ago);
    x.incrs = [15, 30, 60, 120, 300];
    x.space = 60;
    y.values = (_, splits) => splits.map(this.lines[0].format);
    y.space = 30;
    return {
      ...options,
      scales: {
        x: { time: false, range: () => [-this.span, 0] },
        y: { range: (_, low, high) => [0, Math.max(high * 1.1, this.top ?? 0) || 1] },
      },
      series: [{}, ...this.lines.map((line) => ({ ...this.stroke(line), spanGaps: false }))],
      hooks: { ...options.hooks, drawClear: [(uplot) => this.shade(uplot)] },
    };
  }

  /** Mark the times at which something was broken on purpose. */
  shade(uplot) {
    const { left, top, width, height } = uplot.bbox;
    const { faults } = this.samples;
    const at = (i) => Math.min(Math.max(uplot.valToPos(this.data[0][i], "x", true), left), left + width);
    uplot.ctx.fillStyle = colour("fault");
    for (let i = 1; i < faults.length; i++) {
      if (faults[i]) uplot.ctx.fillRect(at(i - 1), top, at(i) - at(i - 1), height);
    }
  }

  tabulate() {
    if (!this.details.open || !this.data) return;
    const { time } = this.samples;
    const step = Math.max(1, Math.floor(time.length / ROWS));
    const rows = [];
    for (let i = time.length - 1; i >= 0 && rows.length < ROWS; i -= step) {
      rows.push([format.clock(time[i]), ...this.lines.map((line, j) => line.format(this.data[j + 1][i]))]);
    }
    this.rows.replaceChildren(table(this.title, ["Time", ...this.lines.map((line) => line.label)], rows));
  }
}

const stepped = uPlot.paths.stepped({ align: 1 });

/** A histogram as it grows, its last minute, and the true density over both. */
export class DensityChart extends Chart {
  constructor(place, title, unit, real) {
    super(place, title, [
      { label: "since the start", colour: "one", fill: true },
      { label: "last minute", colour: "two" },
      { label: "true density", colour: "real", dash: [6, 4] },
    ]);
    this.unit = unit;
    this.real = real;
  }

  update(measured) {
    this.measured = measured;
    const { edges, counts, recent, count, recent_count: latest } = measured;
    const density = (n, of, i) => (of ? n / of / (edges[i + 1] - edges[i]) : 0);
    const all = counts.map((n, i) => density(n, count, i));
    const last = recent.map((n, i) => density(n, latest, i));
    const expected = measured.expected.map((share, i) => share / (edges[i + 1] - edges[i]));
    this.highest = 1.12 * Math.max(...all, ...last, ...expected);
    this.data = uPlot.join([
      [edges, [...all, 0], [...last, 0]],
      [this.real.x, this.real.density],
    ]);
    this.draw();
    this.legend();
    this.tabulate();
  }

  reading(line) {
    const { count, recent_count: latest } = this.measured;
    if (line.colour === "real") return this.real.text.replace(/\(.*/s, "");
    return format.count(line.colour === "one" ? count : latest);
  }

  options() {
    const options = super.options();
    options.cursor.show = false;
    options.axes[0].values = (_, splits) => splits.map(this.unit);
    options.axes[0].space = 60;
    options.axes[1].values = (_, splits) => splits.map(format.number);
    const [all, last, real] = this.lines.map((line) => ({ ...this.stroke(line), spanGaps: true }));
    return {
      ...options,
      scales: {
        x: { time: false, range: () => this.range() },
        y: { range: () => [0, this.highest] },
      },
      series: [
        {},
        { ...all, paths: stepped, width: 1, fill: colour("area") },
        { ...last, paths: stepped, width: 1.5 },
        real,
      ],
    };
  }

  range() {
    const { edges } = this.measured;
    const { x } = this.real;
    return [Math.min(edges[0], x[0]), Math.max(edges.at(-1), x.at(-1))];
  }

  tabulate() {
    if (!this.details.open || !this.data) return;
    const { edges, counts, recent, count, recent_count: latest, expected } = this.measured;
    const share = (n, of) => (of ? format.percent(n / of) : "–");
    const rows = counts.map((n, i) => [
      `${this.unit(edges[i])} to ${this.unit(edges[i + 1])}`,
      share(n, count),
      share(recent[i], latest),
      format.percent(expected[i]),
    ]);
    this.rows.replaceChildren(table(this.title, ["From, to", ...this.lines.map((line) => line.label)], rows));
  }
}
