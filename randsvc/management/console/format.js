// Numbers for a person to read. An unknown number is a dash.

const NOT_KNOWN = "–";

const known = (format) => (number) => (number === null || number === undefined ? NOT_KNOWN : format(number));

const digits = (number, significant) =>
  Number(number.toPrecision(significant)).toLocaleString("en", { maximumSignificantDigits: significant });

export const count = known((n) => Math.round(n).toLocaleString("en"));
export const number = known((n) => digits(n, 3));
export const rate = known((n) => `${digits(n, 3)}/s`);
export const percent = known((n) => `${digits(100 * n, 3)}%`);
export const megabytes = known((n) => `${digits(n / 2 ** 20, 3)} MiB`);

export const seconds = known((n) => {
  if (n === 0) return "0 s";
  if (Math.abs(n) < 0.9995) return `${digits(1000 * n, 3)} ms`;
  return `${digits(n, 3)} s`;
});

export const clock = (unixSeconds) => new Date(1000 * unixSeconds).toLocaleTimeString("en-GB");

/** "now", "-30 s", "-5 min" for a time in seconds from now. */
export const ago = (n) => {
  if (n === 0) return "now";
  return n % 60 === 0 ? `${n / 60} min` : `${n} s`;
};
