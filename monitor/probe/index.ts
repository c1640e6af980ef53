export { probeConfig } from './config.ts'
export { createProbes, type ProbeRequest } from './probes.ts'
export { ProbeRefusal } from './refusal.ts'
