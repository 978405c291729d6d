// Elements without a framework. Text is always set as text, never as markup.

/** An element with properties, data-* attributes under `data`, and children (elements or texts). */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** A table with a caption; the first cell of a row is its header. */
export function table(caption, head, rows) {
  return element(
    "table",
    {},
    element("caption", { textContent: caption }),
    element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col", textContent: text })))),
    element(
      "tbody",
      {},
      ...rows.map(([first, ...rest]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row", textContent: first }),
          ...rest.map((text) => element("td", { textContent: text })),
        ),
      ),
    ),
  );
}

/** Text that is only touched when it changes, so that a selection and a screen reader are left alone. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const find = (id) => document.getElementById(id);
