import { once } from 'node:events'
import { createServer } from 'node:net'

/** The port that an option names; undefined without the option. @throws Error for what is no port */
export function portOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new Error(`${option} must be a port from 1 to 65535, not ${JSON.stringify(text)}`)
  return port
}

/** @throws Error that names the option, if a program cannot listen at that port of loopback */
export async function expectFree(option: string, port: number | undefined): Promise<void> {
  if (port === undefined) return
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'EADDRINUSE' ? 'another program listens there' : code === 'EACCES' ? 'it needs more permissions' : message
    throw new Error(`${option} ${port} cannot be used: ${why}. Choose another port, or leave the option out for any free one.`)
  } finally {
    server.close()
  }
}
