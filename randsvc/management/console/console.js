// The console: while the page is visible, it requests the current numbers every second and shows them.

import { offer, showFaults } from "./breaking.js";
import { DensityChart, recolour, TimeChart } from "./charts.js";
import { element, find, say } from "./dom.js";
import { showAlerts } from "./firing.js";
import * as format from "./format.js";

const INTERVAL = 1000; // ms between two requests for the numbers
const ALERTS_EVERY = 5; // requests for the numbers between two requests for the alerts
const TIMEOUT = 8000; // ms: a service whose event loop is blocked responds late
const KEPT = 900; // seconds of samples, as the service keeps

const of = (key) => (samples) => samples[key];
const SIGNALS = {
  traffic: ["Traffic", [{ label: "requests", colour: "one", format: format.rate, of: of("traffic") }]],
  latency: [
    "Latency",
    [
      { label: "p50", colour: "one", format: format.seconds, of: of("p50") },
      { label: "p95", colour: "three", format: format.seconds, of: of("p95"), dash: [8, 3] },
      { label: "p99", colour: "two", format: format.seconds, of: of("p99") },
    ],
  ],
  errors: ["Errors", [{ label: "share of requests", colour: "two", format: format.percent, of: of("errors") }], { top: 0.05 }],
  saturation: [
    "Saturation",
    [
      { label: "share of the limit", colour: "one", format: format.percent, of: (s) => s.active.map((n, i) => (s.limit[i] ? n / s.limit[i] : null)) },
      { label: "share of a CPU core", colour: "two", format: format.percent, of: of("cpu"), dash: [8, 3] },
    ],
    { top: 0.2 },
  ],
  sources: [
    "Source",
    [
      { label: "model", colour: "one", format: format.rate, of: of("model") },
      { label: "fallback", colour: "two", format: format.rate, of: of("fallback"), dash: [8, 3] },
    ],
  ],
};
const DISTRIBUTIONS = {
  "randsvc.value": ["Value", format.number],
  "randsvc.delay": ["Delay", format.seconds],
};

const charts = {};
const densities = {};
let known = { instance: "", last: 0, samples: null };

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const visible = () =>
  document.hidden ? new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true })) : null;

function tell(text, bad = false) {
  const said = find("said");
  said.toggleAttribute("data-bad", bad);
  say(said, `${format.clock(Date.now() / 1000)} ${text}`);
}

async function ask(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(TIMEOUT) });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

/** Fold the sections on a phone, where the page is 25 screens long otherwise. */
function fold() {
  if (!matchMedia("(max-width: 40rem)").matches) return;
  for (const section of document.querySelectorAll("[data-folds]")) section.open = false;
}

/** Load and show the data that stay the same while the process runs. */
async function introduce() {
  const about = await ask("/console/about");
  document.title = `${about.service} console`;
  say(find("service"), about.service);
  say(find("version"), `${about.service} ${about.version}`);
  say(find("window"), `over the last ${about.window} s`);
  find("links").replaceChildren(...about.links.map(({ name, url }) => element("a", { href: url, textContent: name })));
  const trueDistributions = Object.entries(about.true_distributions);
  for (const section of document.querySelectorAll("[data-distributions]")) section.hidden = trueDistributions.length === 0;
  find("distribution-cards").replaceChildren(...trueDistributions.map(distributionCard));
  for (const place of document.querySelectorAll("[data-chart]")) {
    charts[place.dataset.chart] ??= new TimeChart(place, ...SIGNALS[place.dataset.chart]);
  }
  offer(about, tell);
}

function distributionCard([metric, real]) {
  const [title, unit] = DISTRIBUTIONS[metric];
  const place = element("div", { className: "chart", data: { distribution: metric } });
  const note = element("p", { className: "note" });
  densities[metric] = { chart: new DensityChart(place, title, unit, real), note, unit, real };
  return element("article", { className: "card" }, element("h3", { textContent: title }), place, note);
}

function showMeasured(measured) {
  if (measured.instance !== known.instance) {
    if (known.instance) tell("The service was restarted. Its counts start at 0.");
    known = { instance: measured.instance, last: 0, samples: null };
  }
  const samples = known.samples ?? Object.fromEntries(Object.keys(measured.samples).map((key) => [key, []]));
  for (const [key, values] of Object.entries(measured.samples)) samples[key].push(...values);
  const old = samples.time.findIndex((time) => time >= samples.time.at(-1) - KEPT);
  for (const values of Object.values(samples)) values.splice(0, old);
  known = { instance: measured.instance, last: measured.last, samples };
  showTotals(measured.totals);
  if (samples.time.length) showSamples(samples);
  for (const [metric, { chart, note, unit, real }] of Object.entries(densities)) {
    const distribution = measured.distributions[metric];
    if (!distribution.count) continue;
    chart.update(distribution);
    say(note, `Mean: ${unit(distribution.mean)} measured, ${unit(real.mean)} true. Distribution: ${real.text}`);
  }
  showDrift(measured.distributions["randsvc.value"]);
}

function showTotals(totals) {
  for (const target of document.querySelectorAll("[data-total]")) say(target, format.count(totals[target.dataset.total]));
  const errors = Object.entries(totals.model_errors).map(([kind, n]) => `${kind} ${format.count(n)}`);
  say(find("model-errors"), errors.length ? `Failed predictions since the start: ${errors.join(", ")}` : "Failed predictions since the start: none");
}

function showSamples(samples) {
  for (const chart of Object.values(charts)) chart.update(samples);
  const formats = { active: format.count, limit: format.count, lag: format.seconds, memory: format.megabytes };
  for (const target of document.querySelectorAll("[data-now]")) {
    const key = target.dataset.now;
    say(target, formats[key](samples[key].at(-1)));
  }
}

function showDrift(value) {
  if (!value?.distance) return;
  const { d1, chance } = value.distance;
  say(find("drift-distance"), format.number(d1));
  say(find("drift-note"), `D1 to the true distribution. For ${format.count(value.recent_count)} values, chance alone gives about ${format.number(chance)}.`);
}

function showState(state, text) {
  const pulse = find("pulse");
  if (pulse.dataset.state === state) return;
  if (state === "lost") tell("The service does not respond.", true);
  if (pulse.dataset.state === "lost") tell("The service responds again.");
  pulse.dataset.state = state;
  say(pulse, text);
}

async function look(round) {
  const live = await ask(`/console/live?instance=${encodeURIComponent(known.instance)}&after=${known.last}`);
  if (round === 0 || (live.measured && known.instance && live.measured.instance !== known.instance)) await introduce();
  for (const section of document.querySelectorAll("[data-measured]")) if (!live.measured) section.hidden = true;
  find("unmeasured").hidden = live.measured !== null;
  say(find("unmeasured"), live.unmeasured ?? "");
  if (live.measured) showMeasured(live.measured);
  showFaults(live.faults);
  if (round % ALERTS_EVERY === 0) ask("/console/alerts").then((answer) => showAlerts(answer, tell), () => {});
}

async function follow() {
  fold();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  for (let round = 0; ; ) {
    await visible();
    const started = performance.now();
    try {
      await look(round);
      round += 1;
      showState("live", "live");
    } catch {
      showState("lost", `no response since ${format.clock(Date.now() / 1000)}; retrying`);
    }
    await sleep(Math.max(100, INTERVAL - (performance.now() - started)));
  }
}

follow();
