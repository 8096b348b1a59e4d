import { defineConfig } from 'vite';

/** The server that `npm run dev` passes calls on to. */
const SERVER = 'http://127.0.0.1:8080';

export default defineConfig({
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  server: {
    proxy: { '/api': SERVER, '/ws': { target: SERVER, ws: true }, '/ingest': SERVER },
  },
  build: {
    target: 'es2022',
    // Its polyfill would be for browsers that cannot run the rest either.
    modulePreload: { polyfill: false },
    // A data URL would be a second way to load things.
    assetsInlineLimit: 0,
    license: { fileName: 'assets/notices.txt' },
  },
});
