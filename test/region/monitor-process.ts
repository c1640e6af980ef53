import { type ProgramOptions, type RunningProgram, startProgram } from './program.ts'

/** A running monitor. */
export type MonitorProcess = RunningProgram & {
  /** `http://127.0.0.1:PORT`, where its metrics, probes and health are. */
  url: string
}

/** Starts a monitor and waits until it is ready. @throws Error with the end of its log when it ends before that */
export async function startMonitorProcess(options: ProgramOptions): Promise<MonitorProcess> {
  const { said, ...running } = await startProgram(options, { name: 'monitor', message: 'monitor is ready' })
  return { ...running, url: `http://127.0.0.1:${said.metricsPort}` }
}
