import { existsSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { createRequire, isBuiltin } from 'node:module'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { build, type Plugin } from 'esbuild'
import { createSbom } from './sbom.ts'

/**
 * Bundles each program into `dist/<program>.mjs`, or into the folder given as argument. Modules that a program loads on demand (for a
 * kubeconfig, JSON Web Tokens, the OpenAPI document, the client of a checked database) become separate chunks, so that they cost
 * neither memory nor start-up time until then.
 *
 * Beside each bundle is its bill of materials, `<program>.cdx.json`. With `--base IMAGE`, for a Dockerfile, there is also
 * `<program>-image.cdx.json`: that of the image with this base and this Node. `--metafile` writes esbuild's `<program>.meta.json`.
 */
const programs = ['agent', 'monitor'].filter((program) => existsSync(`${program}/main.ts`))
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { base: { type: 'string' }, metafile: { type: 'boolean', default: false } },
})
const [outdir = 'dist'] = positionals
const require = createRequire(import.meta.url)

/**
 * Loads Node's own modules with `require`, and reads only the exports that a program uses. An `import` reads all of them: `node:http` then
 * loads Node's fetch (15 MiB), and `node:util` its diff (4 ms). esbuild drops unused calls that are marked as pure.
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

/** mqtt.js loads a SOCKS client at each start, which takes 18 ms of processor time. No setting of the monitor needs it. */
const withoutSocks: Plugin = {
  name: 'without SOCKS',
  setup(bundler) {
    const contents = "module.exports = () => { throw new Error('SOCKS proxies are not supported') }"
    bundler.onLoad({ filter: /node_modules\/mqtt\/.*\/socks\.js$/ }, () => ({ contents }))
  },
}

/**
 * CommonJS packages, and the modules above, call `require`. Node warns about deprecated calls in a program's own code only. In a bundle,
 * the code of packages counts as our own, and its warnings would appear between the JSON log lines.
 */
const banner =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); process.noDeprecation = true;"

// Only our own folder is emptied.
if (outdir === 'dist') await rm(outdir, { recursive: true, force: true })
// One build per program: of a chunk that both shared, each would load all of it.
for (const program of programs) {
  const { metafile } = await build({
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
    // The Kafka client's package reads its WebAssembly from a separate file; this module of the same release has it built in.
    alias: { '@platformatic/wasm-utils': path.resolve('node_modules/@platformatic/wasm-utils/dist/bundled.js') },
    banner: { js: banner },
    logLevel: 'warning',
    metafile: true,
  })
  const write = (name: string, text: string) => writeFile(path.join(outdir, `${program}${name}.json`), text)
  await write('.cdx', createSbom(program, metafile))
  if (options.base !== undefined) await write('-image.cdx', createSbom(program, metafile, { base: options.base, node: process.versions }))
  if (options.metafile) await write('.meta', JSON.stringify(metafile))
}
