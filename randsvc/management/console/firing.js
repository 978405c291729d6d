// The alerts that Prometheus reports. The service queries Prometheus; this page asks the service.

import { level } from "./breaking.js";
import { element, find } from "./dom.js";
import * as format from "./format.js";

const LEVELS = ["critical", "major", "minor"];
let shown = "";
let known = new Set();

/** Show the alerts, and report each alert that started or resolved. */
export function showAlerts(answer, tell) {
  const text = JSON.stringify(answer);
  if (text === shown) return;
  shown = text;
  find("alerts").replaceChildren(...content(answer));
  if (!answer.alerts) return;
  const firing = new Set(answer.alerts.filter(isIncident).filter((a) => a.state === "firing").map((a) => a.name));
  for (const name of firing) if (!known.has(name)) tell(`${name} fires.`);
  for (const name of known) if (!firing.has(name)) tell(`${name} is resolved.`);
  known = firing;
}

const isIncident = (alert) => LEVELS.includes(alert.level);

function content({ configured, alerts, error }) {
  if (!configured) return notConfigured();
  if (error) return [element("p", {}, `Prometheus cannot be queried: ${error}`)];
  const incidents = alerts.filter(isIncident);
  incidents.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  const others = alerts.filter((alert) => !isIncident(alert));
  return [
    incidents.length ? alertList(incidents) : element("p", { textContent: "No alert is firing." }),
    ...others.map((alert) => element("p", { className: "note", textContent: `${alert.name}: ${alert.summary}` })),
  ];
}

function notConfigured() {
  return [
    element("p", { textContent: "No Prometheus is configured. This page shows the alerts that Prometheus reports." }),
    element(
      "p",
      { className: "note" },
      "To see alerts, run the whole stack with ",
      element("code", { textContent: "make stack" }),
      " or ",
      element("code", { textContent: "docker compose up --build" }),
      ". To ask a Prometheus of your own: ",
      element("code", { textContent: "RANDSVC_PROMETHEUS_URL=http://localhost:9090 make run" }),
    ),
  ];
}

function alertList(alerts) {
  const item = (alert) =>
    element(
      "li",
      { data: { state: alert.state } },
      element("div", { className: "head" }, element("h3", { textContent: alert.name }), level(alert.level)),
      element("p", { textContent: alert.summary }),
      element(
        "p",
        { className: "note" },
        `${alert.state} since ${format.clock(Date.parse(alert.since) / 1000)}, `,
        // The port of this page serves the runbooks too.
        element("a", { href: `runbooks/${encodeURIComponent(alert.name)}`, textContent: "runbook" }),
      ),
    );
  return element("ul", { className: "plain" }, ...alerts.map(item));
}
