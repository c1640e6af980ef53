import fc from 'fast-check'

/** Each run tries the same examples; `SKERRY_SEED=n` tries others. */
fc.configureGlobal({ seed: Number(process.env.SKERRY_SEED ?? 1) })

export { fc }
