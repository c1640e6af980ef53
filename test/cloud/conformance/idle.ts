import { connect, getCACertificates } from 'node:tls'
import { trustPath } from '../../../agent/cloud/transport.ts'

/**
 * Opens a connection, asks once, and waits until the other side closes it.
 * @returns after how many milliseconds that was; undefined if it is open still after `idleMs`
 */
export async function closedAfter(url: string, ca: string | undefined, idleMs: number): Promise<number | undefined> {
  const { hostname, port, host } = new URL(url)
  const authorities = ca === undefined ? {} : { ca: [...getCACertificates('default'), ca] }
  const name = /^[\d.]+$|:/.test(hostname) ? {} : { servername: hostname }
  return new Promise((resolve) => {
    const began = performance.now()
    let answeredAt = began
    const socket = connect({ host: hostname, port: Number(port || 443), ...name, ...authorities, ALPNProtocols: ['http/1.1'] })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve(undefined)
    }, idleMs)
    socket.once('secureConnect', () => socket.write(`GET ${trustPath} HTTP/1.1\r\nHost: ${host}\r\nConnection: keep-alive\r\n\r\n`))
    socket.on('data', () => {
      answeredAt = performance.now()
    })
    const closed = () => {
      clearTimeout(timer)
      resolve(Math.round(performance.now() - answeredAt))
    }
    socket.once('end', closed)
    socket.once('error', closed)
    socket.once('close', closed)
  })
}
