// What fires, as Prometheus says. The service asks it; this page asks the service.

import { level } from "./breaking.js";
import { element, find } from "./dom.js";

const LEVELS = ["critical", "major", "minor"];
let shown = "";
let known = new Set();

/** Show what the service found out; a line for each alert that has begun or ended. */
export function showAlerts(answer, tell) {
  const text = JSON.stringify(answer);
  if (text === shown) return;
  shown = text;
  find("alerts").replaceChildren(...content(answer));
  if (!answer.alerts) return;
  const firing = new Set(answer.alerts.filter(isIncident).filter((a) => a.state === "firing").map((a) => a.name));
  for (const name of firing) if (!known.has(name)) tell(`${name} fires.`);
  for (const name of known) if (!firing.has(name)) tell(`${name} has cleared.`);
  known = firing;
}

const isIncident = (alert) => LEVELS.includes(alert.level);

function content({ configured, alerts, error }) {
  if (!configured) return notConfigured();
  if (error) return [element("p", {}, `Prometheus does not say: ${error}`)];
  const incidents = alerts.filter(isIncident);
  incidents.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  const others = alerts.filter((alert) => !isIncident(alert));
  return [
    incidents.length ? alertTable(incidents) : element("p", { textContent: "Nothing fires." }),
    ...others.map((alert) => element("p", { className: "note", textContent: `${alert.name}: ${alert.summary}` })),
  ];
}

function notConfigured() {
  return [
    element("p", { textContent: "No Prometheus is configured, so nothing is judged here: thresholds are its business alone." }),
    element(
      "p",
      { className: "note" },
      "With the whole chain this page shows what fires: ",
      element("code", { textContent: "make stack" }),
      " or ",
      element("code", { textContent: "docker compose up --build" }),
      ". Beside a Prometheus of yours: ",
      element("code", { textContent: "RANDSVC_PROMETHEUS_URL=http://localhost:9090 make run" }),
    ),
  ];
}

function alertTable(alerts) {
  const head = ["Level", "Alert", "State", "Since", "What it says"];
  const row = (alert) =>
    element(
      "tr",
      {},
      element("td", {}, level(alert.level)),
      element("th", { scope: "row", textContent: alert.name }),
      element("td", { textContent: alert.state }),
      element("td", { textContent: new Date(alert.since).toLocaleTimeString("en-GB") }),
      element("td", { textContent: alert.summary }),
    );
  return element(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: "Alerts" },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", textContent: text })))),
      element("tbody", {}, ...alerts.map(row)),
    ),
  );
}
