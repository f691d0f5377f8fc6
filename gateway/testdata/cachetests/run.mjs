// Runs the public tests for HTTP caches (npm http-cache-tests) and prints one line of
// JSON for each: {"id", "kind", "outcome", "why"}. It is origin and client in one:
//
//   node run.mjs FOLDER_OF_HTTP_CACHE_TESTS
//
// prints {"origin": URL} first and waits for the URL of the cache on standard input.
import http from 'node:http'
import path from 'node:path'
import readline from 'node:readline'
import { pathToFileURL } from 'node:url'

const root = path.resolve(process.argv[2])
const load = file => import(pathToFileURL(path.join(root, file)).href)
const handlers = {
  config: (await load('server/handle-config.mjs')).default,
  state: (await load('server/handle-state.mjs')).default,
  test: (await load('server/handle-test.mjs')).default
}
const { default: suites } = await load('tests/index.mjs')
const { runTests, getResults } = await load('client/runner.mjs')
const { default: fetch } = await load('../node-fetch/lib/index.mjs')

const server = http.createServer((request, response) => {
  const [, kind, ...rest] = new URL(request.url, 'http://localhost').pathname.split('/')
  if (handlers[kind]) return handlers[kind](rest, request, response)
  response.statusCode = 404
  response.end()
})
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
console.log(JSON.stringify({ origin: `http://127.0.0.1:${server.address().port}` }))
const lines = readline.createInterface({ input: process.stdin })
const base = (await lines[Symbol.asyncIterator]().next()).value

// The library says on standard output what it does.
const say = console.log
console.log = console.error
await runTests(suites, fetch, false, base)
const results = getResults()
const tests = new Map(suites.flatMap(s => s.tests).map(t => [t.id, t]))

function outcome (id) {
  const test = tests.get(id)
  const result = results[id]
  if (result === undefined) return 'untested'
  for (const other of test.depends_on || []) {
    if (outcome(other) !== 'pass') return 'dependency'
  }
  if (result === true) return 'pass'
  if (result[0] === 'Setup') return result[1] === 'retry' ? 'retry' : 'setup'
  return result[0] === 'Assertion' ? 'fail' : 'harness'
}

for (const [id, test] of tests) {
  if (test.browser_only) continue
  const result = results[id]
  say(JSON.stringify({ id, kind: test.kind || 'required', outcome: outcome(id), why: Array.isArray(result) ? String(result[1]) : '' }))
}
process.exit(0)
