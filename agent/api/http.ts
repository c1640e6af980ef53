// What a file of routes needs: reading requests, answering them, and who asks.
export { json } from './answer.ts'
export * from './body.ts'
export * from './conditions.ts'
export * from './context.ts'
export * from './pages.ts'
export * from './parameters.ts'
export { type Input, type ResponseDoc, type Route, route } from './route.ts'
