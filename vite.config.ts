/** Builds the explorer: `npm run build`. */
import { defineConfig } from 'vite'

export default defineConfig({
  root: 'src/explorer',
  base: '/',
  publicDir: false,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../../dist/explorer',
    emptyOutDir: true,
    target: 'es2022',
    // The policy of the page allows neither data: nor anything inline.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    // One script: what is verified with the network gone must not have to be fetched first.
    rolldownOptions: { output: { codeSplitting: false } },
  },
})
