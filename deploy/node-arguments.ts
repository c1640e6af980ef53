/**
 * How an image runs a bundle: `node --max-semi-space-size=4 dist/agent.mjs`.
 *
 * Node lets the young generation grow to 128 MiB, and keeps it: a quarter to a half of the agent's memory with a thousand databases,
 * for 3 % of its throughput (docs/performance.md).
 */
export const nodeArguments = ['--max-semi-space-size=4']
