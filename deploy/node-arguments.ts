/**
 * The arguments with which the images run the bundles: `node --max-semi-space-size=4 agent.mjs`.
 *
 * By default, Node lets the young generation grow to 128 MiB, and keeps it: a quarter to a half of a program's memory, for 3 % of its
 * throughput (docs/performance.md). The monitor has less to do per second than the agent, and an edge box has less memory than a server:
 * its old generation grows by half before it is collected, instead of doubling.
 */
export const nodeArguments = { agent: ['--max-semi-space-size=4'], monitor: ['--max-semi-space-size=1', '--heap-growing-percent=50'] }
