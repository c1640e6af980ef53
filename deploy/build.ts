import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { build } from 'esbuild'

/**
 * Bundles each program into `dist/<program>.mjs`, or into the folder that is given. What a program loads only when it is needed
 * (a kubeconfig, JSON Web Tokens, the API's description) becomes a chunk of its own beside it, so that it costs neither memory nor
 * start-up time before.
 */
const programs = ['agent', 'monitor'].filter((program) => existsSync(`${program}/main.ts`))
const [, , outdir = 'dist'] = process.argv

// A folder of somebody else's is never emptied.
if (outdir === 'dist') await rm(outdir, { recursive: true, force: true })
await build({
  entryPoints: Object.fromEntries(programs.map((program) => [program, `${program}/main.ts`])),
  outdir,
  outExtension: { '.js': '.mjs' },
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  minify: true,
  sourcemap: false,
  format: 'esm',
  platform: 'node',
  target: 'node22.19',
  // CommonJS packages in the bundle call `require` for Node's own modules.
  banner: { js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);" },
  logLevel: 'warning',
})
