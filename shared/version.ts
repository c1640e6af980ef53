import manifest from '../package.json' with { type: 'json' }

/** The version of this release; the agent and the monitor have the same one. */
export const version: string = manifest.version
