/**
 * How the images run the bundles: `node --max-semi-space-size=4 agent.mjs`.
 *
 * Node lets the young generation grow to 128 MiB, and keeps it: a quarter to a half of a program's memory, for 3 % of its throughput
 * (docs/performance.md). The monitor has less to do in a second than the agent, and an edge box less memory than a server:
 * its old generation may grow by half before it is collected, not double.
 */
export const nodeArguments = { agent: ['--max-semi-space-size=4'], monitor: ['--max-semi-space-size=1', '--heap-growing-percent=50'] }
