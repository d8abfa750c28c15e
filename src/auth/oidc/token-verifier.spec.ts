import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Logger } from '@nestjs/common';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWK } from 'jose';
import { Settings } from '../../config/settings.js';
import { isToken, TokenVerifier } from './token-verifier.js';

let server: Server;
let issuer: string;
let keys: JWK[] = [];
let rsa: { publicKey: CryptoKey; privateKey: CryptoKey };
let elliptic: typeof rsa;
let stranger: typeof rsa;
/** What the issuer answers with instead, while it is out of order. */
let broken: number | undefined;
let claimed: string | undefined;
const asked: string[] = [];

beforeAll(async () => {
  [rsa, elliptic, stranger] = await Promise.all([
    generateKeyPair('RS256', { extractable: true }),
    generateKeyPair('ES256', { extractable: true }),
    generateKeyPair('RS256'),
  ]);
  keys = [
    { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
    { ...(await exportJWK(elliptic.publicKey)), kid: 'ec' },
  ];
  server = createServer((request, response) => {
    asked.push(request.url!);
    response.statusCode = broken ?? 200;
    const document = { issuer: claimed ?? issuer, jwks_uri: `${issuer}/keys` };
    response.end(JSON.stringify(request.url!.endsWith('/keys') ? { keys } : document));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
beforeEach(() => {
  asked.length = 0;
  [broken, claimed] = [undefined, undefined];
  jest.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
});
afterEach(() => jest.restoreAllMocks());

function verifier(changes: Partial<Settings> = {}) {
  const oidc = {
    OIDC_ISSUER: issuer,
    OIDC_AUDIENCE: 'turnpike',
    OIDC_ROLE_MAP: 'devs:author, devs:approver, ops:operator',
  };
  return new TokenVerifier(Object.assign(new Settings(), oidc, changes));
}

interface Made {
  readonly claims?: Record<string, unknown>;
  readonly key?: CryptoKey | Uint8Array;
  readonly header?: { alg: string; kid?: string };
}

function token({ claims = {}, key = rsa.privateKey, header = { alg: 'RS256', kid: 'rsa' } }: Made = {}) {
  const now = Math.floor(Date.now() / 1_000);
  const all = { iss: issuer, aud: 'turnpike', sub: 'ada', groups: ['devs', 'others'], exp: now + 60, ...claims };
  return new SignJWT(all).setProtectedHeader(header).sign(key);
}
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

describe('a token of the identity provider', () => {
  it('says who it is and which roles that gives', async () => {
    const tokens = verifier();
    const found = { principal: { name: 'oidc:ada', roles: ['author', 'approver'] } };
    expect(await tokens.verify(await token())).toEqual(found);
    const other = await token({ key: elliptic.privateKey, header: { alg: 'ES256', kid: 'ec' } });
    expect(await tokens.verify(other)).toEqual(found);
    expect(tokens.isInTime(other)).toBe(true);
    expect(tokens.isInTime(await token({ claims: { exp: inSeconds(-8) } }))).toBe(true);
    expect(tokens.isInTime(await token({ claims: { exp: inSeconds(-11) } }))).toBe(false);
    expect(await tokens.verify(await token({ claims: { groups: 'ops', aud: ['x', 'turnpike'] } }))).toMatchObject({
      principal: { roles: ['operator'] },
    });
    expect(await tokens.verify(await token({ claims: { groups: undefined } }))).toMatchObject({
      principal: { roles: [] },
    });
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys']);
  });

  it('is read by the claims that the settings name', async () => {
    const tokens = verifier({
      ...{ OIDC_NAME_CLAIM: 'preferred_username', OIDC_ROLES_CLAIM: 'realm_access.roles', OIDC_SCOPES_CLAIM: 'apps' },
      OIDC_JWKS_URL: `${issuer}/other/keys`,
    });
    const claims = { preferred_username: 'Ada L', realm_access: { roles: ['ops'] } };
    const of = async (apps: unknown) => tokens.verify(await token({ claims: { ...claims, apps } }));
    const principal = { name: 'oidc:Ada L', roles: ['operator'] };
    expect(await of(['frontend-*', 'shop', 7, 'a b'])).toEqual({
      principal: { ...principal, scopes: ['frontend-*', 'shop'] },
    });
    expect(await of('frontend-* shop')).toEqual({ principal: { ...principal, scopes: ['frontend-*', 'shop'] } });
    expect(await of(['*'])).toEqual({ principal });
    // A claim that is missing must not open everything.
    expect(await of(undefined)).toEqual({ principal: { ...principal, scopes: [] } });
    expect(asked).toEqual(['/other/keys']);
  });

  it.each<[string, () => Promise<string> | string, RegExp]>([
    ['of another issuer', () => token({ claims: { iss: 'https://evil.example' } }), /claim 'iss'/],
    ['for another audience', () => token({ claims: { aud: 'wiki' } }), /claim 'aud'/],
    ['that has expired', () => token({ claims: { exp: inSeconds(-11) } }), /has expired/],
    ['without an end', () => token({ claims: { exp: undefined } }), /claim 'exp' is missing/],
    ['that does not hold yet', () => token({ claims: { nbf: inSeconds(30) } }), /claim 'nbf'/],
    ['that a stranger signed', () => token({ key: stranger.privateKey }), /not signed with one of the issuer's keys/],
    [
      'of an unknown key',
      () => token({ key: stranger.privateKey, header: { alg: 'RS256', kid: 'x' } }),
      /issuer's keys/,
    ],
    [
      'signed with a shared secret',
      () => token({ key: new Uint8Array(32), header: { alg: 'HS256', kid: 'rsa' } }),
      /algorithm/,
    ],
    [
      'that is not signed',
      () => `${new UnsecuredJWT({ iss: issuer, aud: 'turnpike', sub: 'a' }).encode()}AA`,
      /algorithm/,
    ],
    ['of no form', () => 'a.b.c', /not valid/],
    ['without a name', () => token({ claims: { sub: undefined } }), /claim 'sub' is no name/],
    ['with a name of two lines', () => token({ claims: { sub: 'ada\nadmin' } }), /claim 'sub' is no name/],
  ])('%s is refused', async (_, made, reason) => {
    expect(await verifier().verify(await made())).toEqual({ refused: expect.stringMatching(reason) });
  });

  it('is taken a few seconds before its time and after it: clocks differ', async () => {
    expect(await verifier().verify(await token({ claims: { exp: inSeconds(-5), nbf: inSeconds(5) } }))).toHaveProperty(
      'principal',
    );
  });

  it('cannot be checked while the issuer is away, which is not asked again with every one', async () => {
    const tokens = verifier();
    let now = performance.now();
    jest.spyOn(performance, 'now').mockImplementation(() => now);
    broken = 500;
    const away = { code: 'identity_provider_unavailable', status: 503, headers: { 'Retry-After': '5' } };
    await expect(tokens.verify(await token())).rejects.toMatchObject(away);
    await expect(tokens.verify(await token())).rejects.toMatchObject(away);
    expect(asked).toHaveLength(1);
    broken = undefined;
    now += 5_001;
    expect(await tokens.verify(await token())).toHaveProperty('principal');
    // Keys that are known are good without it.
    broken = 500;
    expect(await tokens.verify(await token())).toHaveProperty('principal');
    expect(asked).toHaveLength(3);
  });

  it('cannot be checked where the address is of another issuer', async () => {
    claimed = 'https://evil.example';
    await expect(verifier().verify(await token())).rejects.toMatchObject({ code: 'identity_provider_unavailable' });
  });

  it('has a form that no key has', async () => {
    expect([await token(), 'tpk_AbCd1234', 'a.b', 'a.b.c.d'].map(isToken)).toEqual([true, false, false, false]);
  });
});
