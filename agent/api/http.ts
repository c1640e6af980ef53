// Everything for a file of routes: reading requests, answering them, and the identity of the caller.
export { json } from './answer.ts'
export * from './body.ts'
export * from './conditions.ts'
export * from './context.ts'
export * from './pages.ts'
export * from './parameters.ts'
export { sees } from './reach.ts'
export { type Input, type ResponseDoc, type Route, route } from './route.ts'
