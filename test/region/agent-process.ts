import { type ProgramOptions, type RunningProgram, startProgram } from './program.ts'

/** A running agent. */
export type AgentProcess = RunningProgram & {
  /** `https://127.0.0.1:PORT` */
  url: string
  /** `http://127.0.0.1:PORT` */
  adminUrl: string
}

/** Starts an agent and waits until it is ready. @throws Error with the end of its log when it ends before that */
export async function startAgentProcess(options: ProgramOptions): Promise<AgentProcess> {
  const { said, ...running } = await startProgram(options, { name: 'agent', message: 'region is ready' })
  return { ...running, url: `https://127.0.0.1:${said.apiPort}`, adminUrl: `http://127.0.0.1:${said.adminPort}` }
}
