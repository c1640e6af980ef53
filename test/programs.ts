import { join } from 'node:path'

const { SKERRY_BUNDLES: bundles } = process.env

/**
 * What tests start as the programs: the bundles in the folder that `SKERRY_BUNDLES` names, which the runs of all
 * tests build once, as the images have them; else the sources, so that a test file runs by itself.
 */
export const programs = bundles
  ? { agent: join(bundles, 'agent.mjs'), monitor: join(bundles, 'monitor.mjs') }
  : { agent: 'agent/main.ts', monitor: 'monitor/main.ts' }
