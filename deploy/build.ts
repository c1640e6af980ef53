import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import path from 'node:path'
import { build, type Plugin } from 'esbuild'

/**
 * Bundles each program into `dist/<program>.mjs`, or into the folder that is given. What a program loads only when it is needed
 * (a kubeconfig, JSON Web Tokens, the API's description, the client of a database that is checked) becomes a chunk of its own beside
 * it, so that it costs neither memory nor start-up time before.
 */
const programs = ['agent', 'monitor'].filter((program) => existsSync(`${program}/main.ts`))
const [, , outdir = 'dist'] = process.argv
const require = createRequire(import.meta.url)

/**
 * Loads Node's own modules by `require`, and reads only the exports that a program uses. An `import` reads all of them: those of `node:http`
 * load Node's fetch (15 MiB), those of `node:util` its diff (4 ms). esbuild leaves out an unused call that is marked as pure.
 */
const requiredBuiltins: Plugin = {
  name: 'required builtins',
  setup(bundler) {
    const namespace = 'builtin'
    bundler.onResolve({ filter: /^(node:)?[a-z]/ }, ({ path: given, kind, namespace: from }) => {
      if (!isBuiltin(given)) return undefined
      const name = given.startsWith('node:') ? given : `node:${given}`
      return kind === 'require-call' || from === namespace ? { path: name, external: true } : { path: name, namespace }
    })
    bundler.onLoad({ filter: /.*/, namespace }, ({ path: name }) => {
      const names = Object.keys(require(name)).filter((key) => key !== 'default')
      const lines = names.map((key) => `const _${key} = /* @__PURE__ */ read('${key}'); export { _${key} as ${key} }`)
      return { contents: [`const all = require('${name}'), read = (key) => all[key]`, 'export default all', ...lines].join('\n') }
    })
  },
}

/** mqtt.js loads a SOCKS client at each start. No setting of the monitor needs it, and it takes 18 ms of processor time. */
const withoutSocks: Plugin = {
  name: 'without SOCKS',
  setup(bundler) {
    const contents = "module.exports = () => { throw new Error('SOCKS proxies are not supported') }"
    bundler.onLoad({ filter: /node_modules\/mqtt\/.*\/socks\.js$/ }, () => ({ contents }))
  },
}

/**
 * CommonJS packages, and the modules above, call `require`. Node warns of what is deprecated in a program's own code only; bundled, that of
 * others counts as our own, and its warnings would stand between the lines of JSON.
 */
const banner =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); process.noDeprecation = true;"

// A folder of somebody else's is never emptied.
if (outdir === 'dist') await rm(outdir, { recursive: true, force: true })
// One after the other: what two programs share in a common bundle, both would load in whole.
for (const program of programs)
  await build({
    entryPoints: { [program]: `${program}/main.ts` },
    outdir,
    outExtension: { '.js': '.mjs' },
    chunkNames: `chunks/${program}/[name]-[hash]`,
    bundle: true,
    splitting: true,
    minify: true,
    sourcemap: false,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    plugins: [requiredBuiltins, withoutSocks],
    // The Kafka client's own package reads its WebAssembly from a file beside it; this one of the same release holds it.
    alias: { '@platformatic/wasm-utils': path.resolve('node_modules/@platformatic/wasm-utils/dist/bundled.js') },
    banner: { js: banner },
    logLevel: 'warning',
  })
