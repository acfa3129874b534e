// Copyright The Muster Authors.
// SPDX-License-Identifier: Apache-2.0

// The vault of docs/verify.md for Node.js: it checks the tokens of its callers with the package jose.
//
//   ISSUER    the issuer of the tokens, to the letter
//   JWKS_URL  where its keys are
//
// A private authority of the API server goes in NODE_EXTRA_CA_CERTS.

import { createServer } from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'

const keys = createRemoteJWKSet(new URL(process.env.JWKS_URL))

async function whoCalls(request) {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  if (scheme.toLowerCase() !== 'bearer') throw new errors.JWTInvalid('no bearer token')
  const { payload } = await jwtVerify(token, keys, {
    issuer: process.env.ISSUER,
    audience: 'https://vault.example',
    algorithms: ['ES256', 'ES384', 'ES512', 'RS256'],
    requiredClaims: ['exp', 'sub', 'kubernetes.io'],
  })
  return payload
}

// A fault of the issuer is none of the caller's.
const unavailable = (error) => !(error instanceof errors.JOSEError) || ['ERR_JOSE_GENERIC', 'ERR_JWKS_TIMEOUT', 'ERR_JWKS_INVALID'].includes(error.code)

const server = createServer(async (request, response) => {
  let who
  try {
    who = await whoCalls(request)
  } catch (error) {
    console.error('turned away:', error.code, error.message)
    response.writeHead(unavailable(error) ? 503 : 401, { 'WWW-Authenticate': 'Bearer error="invalid_token"' }).end()
    return
  }
  if (who.sub !== 'system:serviceaccount:dev:reporter') {
    response.writeHead(403).end()
    return
  }
  response.end(`${who.sub} in pod ${who['kubernetes.io'].pod?.name} may know: the ship sails at dawn\n`)
})

server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
