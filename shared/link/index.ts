/**
 * What a program's links carry, and how much they may:
 *
 *     socket-bytes.ts  counts bytes in the sockets
 *     account.ts       bytes by day and wire
 *     ladder.ts        the profile that a budget asks for, as a pure function
 *     meter.ts         both together, kept over restarts
 *     cluster-account.ts  the account in a ConfigMap, of several replicas
 *     families.ts      as metrics
 *     settings.ts      the section `link` of the configuration
 */
export { type Account, accountText, addAccounts, bytesOfDay, readAccount } from './account.ts'
export { createClusterAccount } from './cluster-account.ts'
export { linkFamilies } from './families.ts'
export { type LinkProfile, linkProfiles } from './ladder.ts'
export { type AccountStore, type LinkStanding, Meter } from './meter.ts'
export { type LinkSettings, linkSection } from './settings.ts'
export { SocketBytes, type Traffic } from './socket-bytes.ts'
