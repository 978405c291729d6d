// Bundles the pages as their own vite.config.ts does, without the libraries of PromQL being built first.
import react from "@vitejs/plugin-react";
import { resolve } from "node:path";

const modules = resolve(import.meta.dirname, "module");

export default {
  root: "mantine-ui",
  base: "",
  plugins: [react()],
  resolve: {
    alias: {
      "@prometheus-io/codemirror-promql": `${modules}/codemirror-promql/src/index.ts`,
      "@prometheus-io/lezer-promql": `${modules}/lezer-promql/src/parser.js`,
    },
  },
  build: {
    outDir: "../static/mantine-ui",
    // The library re-exports types like values. Only TypeScript's own compiler can tell them apart.
    rolldownOptions: { shimMissingExports: true },
  },
};
