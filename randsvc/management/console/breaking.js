// The buttons: one for each fault, and one for each scenario that consists of faults of this service.

import { element, find, say } from "./dom.js";

const DURATION = 60; // seconds; the default duration of a fault
const INCIDENT = 120; // seconds; every alert of the demo rules fires within this time

const cards = new Map();
let tell = () => {};

/** Make the buttons for the faults and scenarios in `about`; `report` is called with each line for the user. */
export function offer(about, report) {
  tell = report;
  find("closed").hidden = !about.closed;
  find("token-line").hidden = !about.token;
  cards.clear();
  find("faults").replaceChildren(...about.faults.map((fault) => faultCard(fault, about.closed)));
  const here = about.scenarios.filter((scenario) => scenario.steps);
  find("scenarios").replaceChildren(...here.map((scenario) => scenarioCard(scenario, about.closed)));
  find("incidents").hidden = about.scenarios.length === 0;
  find("other-scenarios").replaceChildren(...others(about.scenarios.filter((scenario) => !scenario.steps)));
}

/** Show the active faults, {NAME: {duration: SECONDS LEFT}}, and a line for each change. */
export function showFaults(on) {
  const names = Object.keys(on);
  find("broken").hidden = names.length === 0;
  say(find("broken-names"), names.join(", "));
  for (const [name, card] of cards) {
    const left = on[name]?.duration;
    const wasOn = "on" in card.item.dataset;
    if (left === undefined) delete card.item.dataset.on;
    else card.item.dataset.on = "";
    say(card.left, left === undefined ? "" : `active, ${Math.ceil(left)} s left`);
    if (left === undefined && card.end === document.activeElement) card.start.focus();
    card.end.hidden = left === undefined;
    if (wasOn && left === undefined) tell(`${name} is cleared.`);
    if (!wasOn && left !== undefined) tell(`${name} is active.`);
  }
}

find("end-all").addEventListener("click", () => change("DELETE", "/faults"));

function faultCard(fault, closed) {
  const inputs = Object.entries(fault.parameters).map(([name, parameter]) => numberInput(fault.name, name, parameter));
  if (fault.lasts) {
    const duration = { description: "seconds until the fault clears itself", minimum: 1, maximum: 86400, example: DURATION };
    inputs.push(numberInput(fault.name, "duration", duration));
  }
  const start = element("button", { type: "submit", textContent: `Cause ${fault.name}`, disabled: closed });
  const end = element("button", { type: "button", className: "second", textContent: `Clear ${fault.name}`, hidden: true });
  const left = element("span", { className: "left" });
  const form = element("form", {}, ...inputs.map((input) => input.label), element("div", { className: "buttons" }, start, end));
  const item = element(
    "li",
    { className: "card fault", data: { fault: fault.name } },
    element("div", { className: "head" }, element("h4", { textContent: fault.name }), left),
    element("p", { textContent: `${capital(fault.description)}.` }),
    element("p", { className: "note expect", textContent: expectation(fault) }),
    form,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!fault.lasts && !confirm(`${fault.name}: ${fault.description}. Continue?`)) return;
    set(fault.name, Object.fromEntries(inputs.map(({ name, input }) => [name, input.valueAsNumber])));
  });
  end.addEventListener("click", () => change("DELETE", `/faults/${fault.name}`));
  cards.set(fault.name, { item, left, start, end });
  return item;
}

function expectation(fault) {
  return fault.alert ? `${fault.expect} Alert: ${fault.alert}.` : fault.expect;
}

function numberInput(fault, name, parameter) {
  const input = element("input", {
    id: `${fault}-${name}`,
    type: "number",
    step: "any",
    required: true,
    min: parameter.minimum,
    max: parameter.maximum,
    value: parameter.example,
    title: parameter.description,
  });
  return { name, input, label: element("label", {}, name === "duration" ? "for seconds" : name, input) };
}

function scenarioCard(scenario, closed) {
  const start = element("button", { type: "button", textContent: "Cause for 2 min", disabled: closed });
  start.ariaLabel = `Cause for 2 min: ${scenario.title}`;
  start.addEventListener("click", async () => {
    for (const { fault, parameters } of scenario.steps) await set(fault, { ...parameters, duration: INCIDENT });
  });
  return element(
    "li",
    { className: "card fault", data: { scenario: scenario.name } },
    element("div", { className: "head" }, element("h4", { textContent: scenario.title }), level(scenario.level)),
    element("p", { textContent: scenario.story }),
    element("p", { className: "note expect", textContent: alertOf(scenario) }),
    element("form", {}, start),
  );
}

function alertOf(scenario) {
  if (!scenario.alert) return "No alert.";
  return `${scenario.alert} fires within ${scenario.fires_within} s if Prometheus uses the demo rules.`;
}

/** Scenarios that stop programs, send load, or break the other service: how to run them. */
function others(scenarios) {
  if (scenarios.length === 0) return [];
  const item = (scenario) =>
    element(
      "li",
      {},
      element("b", { textContent: scenario.title ?? scenario.name }),
      ` ${scenario.error ?? scenario.takes.join(", ")} `,
      ...(scenario.error ? [] : [element("code", { textContent: `randsvc scenario run ${scenario.name}` })]),
    );
  return [
    element(
      "details",
      {},
      element("summary", { textContent: `${scenarios.length} more scenarios, which this page cannot cause` }),
      element("ul", {}, ...scenarios.map(item)),
    ),
  ];
}

export function level(name) {
  return element("span", { className: "level", textContent: name ?? "no alert", data: { level: name ?? "good" } });
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function set(name, parameters) {
  return change("PUT", `/faults/${name}`, parameters);
}

/** Change faults through the API that the command line uses; report a refusal. */
async function change(method, path, body) {
  const headers = {};
  if (find("token").value) headers.Authorization = `Bearer ${find("token").value}`;
  if (body) headers["Content-Type"] = "application/json";
  try {
    const response = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
    if (!response.ok) tell((await response.json()).detail, true);
  } catch {
    tell("The service does not respond.", true);
  }
}
