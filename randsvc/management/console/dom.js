// Elements without a framework. Text is always set as text, never as markup.

/** Make an element with properties, data-* attributes under `data`, and children (elements or texts). */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Make a table with a caption; the first cell of a row is its header. */
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

/** Set the text only if it changes, so that a selection stays and a screen reader does not repeat it. */
export function say(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

export const find = (id) => document.getElementById(id);
