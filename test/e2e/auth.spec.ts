import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose';
import { allows, type Permission, type Role, ROLES } from '../../src/auth/roles.js';
import { EventReader } from '../support/event-reader.js';
import { cleanUp, type Json, ServiceProcess } from '../support/service-process.js';
import { createTestDatabase, type TestDatabase } from '../support/test-database.js';
import { until } from '../support/until.js';
import { documentOf } from './documents.js';

const PUBLIC = ['/health', '/ready'];

describe('the key', () => {
  let database: TestDatabase;
  let service: ServiceProcess;
  let routes: { method: string; path: string; security: unknown; permission: string | undefined }[];
  let issuer: Server;
  let signer: CryptoKey;
  const url = () => `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;

  beforeAll(async () => {
    database = await createTestDatabase();
    const pair = await generateKeyPair('ES256', { extractable: true });
    signer = pair.privateKey;
    const keys = [await exportJWK(pair.publicKey)];
    issuer = createServer((request, response) => {
      const isKeys = request.url === '/keys';
      response.end(JSON.stringify(isKeys ? { keys } : { issuer: url(), jwks_uri: `${url()}/keys` }));
    }).listen(0, '127.0.0.1');
    await once(issuer, 'listening');
    const oidc = {
      OIDC_ISSUER: url(),
      OIDC_AUDIENCE: 'turnpike',
      OIDC_ROLE_MAP: 'devs:viewer',
      OIDC_SCOPES_CLAIM: 'apps',
    };
    service = await ServiceProcess.start({ env: { DATABASE_URL: database.url, ...oidc } });
    const { json } = await service.get('/api/docs-json', { token: null });
    routes = Object.entries(
      json.paths as Record<string, Record<string, { security?: unknown; 'x-permission'?: string }>>,
    ).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { security, 'x-permission': permission }]) => ({
        ...{ method, path, security, permission },
      })),
    );
  });

  afterAll(async () => {
    issuer.close();
    await cleanUp();
    await database.drop();
  });

  it.each([...PUBLIC, '/api/docs', '/api/docs-json'])('is not asked for at %s', async (path) => {
    expect((await service.get(path, { token: null })).status).toBe(200);
  });

  it('is asked for everywhere else, before anything else is looked at', async () => {
    expect(routes.length).toBeGreaterThanOrEqual(10);
    for (const { method, path, security } of routes) {
      if (PUBLIC.includes(path)) {
        expect([path, security]).toEqual([path, undefined]);
        continue;
      }
      const address = path.replace(/\{\w+\}/g, 'task-1');
      const answer = await service.request(method.toUpperCase(), address, { token: null });
      expect([method, path, answer.status, answer.json.code]).toEqual([method, path, 401, 'unauthorized']);
      expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="turnpike"/);
      expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
      // The description says so, too.
      expect([path, security]).toEqual([path, [{ bearer: [] }]]);
    }
  });

  it('opens every route, whatever the case of the scheme', async () => {
    // The stream of events is answered as long as its reader stays.
    for (const { method, path } of routes.filter((route) => route.path !== '/api/events/stream')) {
      const address = path.replace(/\{\w+\}/g, 'task-1');
      const answer = await service.request(method.toUpperCase(), address);
      expect([method, path, [401, 403, 500].includes(answer.status)]).toEqual([method, path, false]);
    }
    const headers = { Authorization: `bearer ${service.token}` };
    expect((await service.get('/api/tasks', { token: null, headers })).status).toBe(200);
  });

  const send = (method: string, path: string, body: unknown, token?: string) =>
    service.request(method, path, {
      ...(token === undefined ? {} : { token }),
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });
  const make = async (name: string, roles: Role[], scopes: string[] | null = null): Promise<Json> => {
    const answer = await send('POST', '/api/api-keys', { name, roles, scopes });
    if (answer.status !== 201) throw new Error(answer.text);
    return answer.json;
  };
  const execution = (app: string) => ({ app_name: app, spec: { ...documentOf('true', app), workflow: undefined } });
  const execute = (app: string, token: string, query = '?delay=1h') =>
    send('POST', `/api/workflows/golden-paths/deploy-app/execute${query}`, execution(app), token);

  it('is shown once, works until it is revoked, and all that is in the ledger', async () => {
    const made = await make('short-lived', ['viewer']);
    expect(made).toMatchObject({ key: expect.stringMatching(/^tpk_[\w-]{43}$/), scopes: null, created_by: 'admin' });
    const { key: token } = made;
    expect((await service.get('/api/tasks', { token })).status).toBe(200);
    const shown = await service.get(made.links.self);
    expect(shown.text).not.toContain(token.slice(13));
    expect(shown.json).toMatchObject({ prefix: token.slice(0, 12), revoked_at: null });
    const used = async () => (await service.get(made.links.self)).json.last_used_at !== null;
    await until('its use is noted', used);
    expect((await send('PATCH', made.links.self, { name: 'renamed', roles: ['approver'] })).json).toMatchObject({
      ...{ name: 'renamed', roles: ['approver'] },
    });
    expect((await service.get('/api/audit', { token })).json.code).toBe('role_required');
    expect((await send('POST', '/api/api-keys', { name: 'renamed', roles: ['viewer'] })).json.code).toBe('conflict');
    expect((await service.request('DELETE', made.links.self)).status).toBe(204);
    const refused = await service.get('/api/tasks', { token });
    expect([refused.status, refused.json.detail]).toEqual([401, "the key 'renamed' was revoked"]);
    expect((await send('PATCH', made.links.self, { roles: ['admin'] })).json.code).toBe('conflict');
    const { events } = (await service.get('/api/audit?kind=operator&actor=admin')).json;
    const about = (events as Json[]).filter(({ detail }) => detail?.api_key_id === made.id);
    expect(about.map(({ cause }) => cause)).toEqual(['api_key_revoked', 'api_key_edited', 'api_key_created']);
    expect(JSON.stringify(events)).not.toContain(token.slice(13));
    // The failed login is there too, without the key.
    const failures = (await service.get('/api/audit?actor=unknown')).json.events as Json[];
    expect(failures[0]).toMatchObject({ kind: 'operator', cause: 'login_failed', detail: { address: '127.0.0.1' } });
    expect(JSON.stringify(failures)).not.toContain(token.slice(13));
  });

  it.each([
    [{ name: 'x' }, 'roles'],
    [{ name: 'admin', roles: ['viewer'] }, 'name'],
    [{ name: 'worker:1', roles: ['viewer'] }, 'name'],
    [{ name: 'x', roles: ['veiwer'] }, 'roles[0]'],
    [{ name: 'x', roles: [] }, 'roles'],
    [{ name: 'x', roles: ['viewer'], scopes: ['a b'] }, 'scopes[0]'],
    [{ name: 'x', roles: ['viewer'], expires_at: 'soon' }, 'expires_at'],
    [{ name: 'x', roles: ['viewer'], expires_at: '2020-01-01T00:00:00Z' }, 'expires_at'],
    [{ name: 'x', roles: ['viewer'], key: 'mine' }, 'key'],
  ])('is not made of %j', async (body, path) => {
    const answer = await send('POST', '/api/api-keys', body);
    expect([answer.status, answer.json.code]).toEqual([422, 'invalid_parameter']);
    expect(answer.json.errors).toEqual([expect.objectContaining({ path })]);
  });

  it('opens exactly what its role is for', async () => {
    for (const role of ROLES.filter((other) => other !== 'admin')) {
      const { key: token } = await make(`a-${role}`, [role]);
      for (const { method, path, permission } of routes) {
        if (permission === undefined) continue;
        const allowed = permission.split(' or ').some((one) => allows([role], one as Permission));
        // What a caller may do is not done here but where it can be seen in peace.
        if (allowed && (method !== 'get' || path === '/api/events/stream')) continue;
        const answer = await service.request(method.toUpperCase(), path.replace(/\{\w+\}/g, 'task-1'), { token });
        const is = answer.json?.code === 'role_required' ? 'refused' : 'let through';
        expect([role, method, path, is]).toEqual([role, method, path, allowed ? 'let through' : 'refused']);
        if (!allowed) expect([answer.status, answer.json.detail]).toEqual([403, expect.stringContaining(`a-${role}`)]);
      }
    }
  });

  it('lets a submitter run golden paths, and cancel what it has submitted itself', async () => {
    const { key: token } = await make('ci', ['submitter']);
    const { key: other } = await make('ci-2', ['submitter']);
    const { key: author } = await make('dev', ['author']);
    const inline = await send('POST', '/api/specs', documentOf('echo hi', 'shop'), token);
    expect([inline.status, inline.json.code]).toEqual([403, 'inline_steps_forbidden']);
    expect((await send('POST', '/api/specs?delay=1h', documentOf('echo hi', 'shop'), author)).status).toBe(202);
    const mine = await execute('shop', token);
    expect(mine.status).toBe(202);
    expect((await execute('shop', token, '?priority=urgent')).json.code).toBe('role_required');
    const cancel = `/api/tasks/${mine.json.task_id}/cancel`;
    expect((await send('POST', cancel, {}, other)).json.code).toBe('role_required');
    expect((await send('POST', cancel, {}, token)).json).toMatchObject({
      status: 'cancelled',
      metadata: { user: 'ci' },
    });
    const retry = `/api/tasks/${mine.json.task_id}/retry`;
    const corrected = await send('POST', retry, { spec: documentOf('echo hi', 'shop') }, token);
    expect([corrected.status, corrected.json.code]).toEqual([403, 'inline_steps_forbidden']);
    const schedule = {
      name: 'nightly',
      cron: '0 3 1 1 *',
      golden_path: 'deploy-app',
      spec: documentOf('true', 'shop'),
    };
    expect((await send('POST', '/api/schedules', schedule, token)).json.code).toBe('role_required');
    expect((await send('POST', '/api/schedules', schedule, author)).status).toBe(201);
  });

  it('with scopes sees and touches nothing else', async () => {
    const { key: token } = await make(
      'frontend',
      ['submitter', 'operator', 'author', 'approver', 'viewer'],
      ['frontend-*'],
    );
    const reader = await EventReader.open(service, '/api/events/stream', undefined, token);
    const theirs = (await execute('backend', service.token)).json.task_id as string;
    const mine = (await execute('frontend-web', token)).json.task_id as string;
    const out = await execute('backend', token);
    expect([out.status, out.json.code]).toEqual([403, 'out_of_scope']);
    const ofOneTask = routes.filter(({ path }) => path.startsWith('/api/tasks/{id}'));
    expect(ofOneTask.length).toBeGreaterThan(7);
    for (const { method, path } of ofOneTask) {
      const answer = await service.request(method.toUpperCase(), path.replace('{id}', theirs), { token });
      expect([method, path, answer.status, answer.json.code]).toEqual([method, path, 404, 'task_not_found']);
    }
    expect((await service.get(`/api/tasks/${mine}`, { token })).status).toBe(200);
    const { tasks } = (await service.get('/api/tasks', { token })).json;
    expect((tasks as Json[]).map(({ task_id: id }) => id)).toEqual([mine]);
    const audit = (await service.get('/api/audit', { token })).json.events as Json[];
    expect([...new Set(audit.map(({ task_id: id }) => id))]).toEqual([mine]);
    for (const [method, path, body] of [
      ['POST', '/api/queue/pause', {}],
      ['POST', '/api/queue/pause', { app_name: 'backend' }],
      ['POST', '/api/webhooks', { url: 'http://127.0.0.1:1', events: ['*'] }],
      ['GET', '/api/queue/instances', undefined],
      ['GET', '/api/audit/verify', undefined],
      ['POST', '/api/golden-paths/reload', undefined],
    ] as const) {
      const answer = await send(method, path, body, token);
      expect([path, answer.status, answer.json.code]).toEqual([path, 403, 'out_of_scope']);
    }
    expect((await send('POST', '/api/tasks/cancel', { all: true }, token)).json).toEqual({ count: 1 });
    expect((await service.task(theirs)).status).toBe('scheduled');
    await until('the reader has the end', () => reader.events.some(({ data }) => data.type === 'task.cancelled'));
    expect([...new Set(reader.events.map(({ data }) => data.data.app_name))]).toEqual(['frontend-web']);
    reader.leave();
  });

  it('of an identity provider says who it is, and what it may', async () => {
    const token = (claims: object) =>
      new SignJWT({ sub: 'ada', groups: ['devs'], apps: ['frontend-*'], ...claims })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(url())
        .setAudience('turnpike')
        .setExpirationTime('1m')
        .sign(signer);
    const seen = await service.get('/api/tasks', { token: await token({}) });
    expect(seen.status).toBe(200);
    expect((seen.json.tasks as Json[]).every(({ app_name: app }) => app.startsWith('frontend-'))).toBe(true);
    const refused = await execute('frontend-web', await token({}));
    expect(refused.json.detail).toContain("'oidc:ada' has the role viewer, but this needs tasks:submit");
    expect((await service.get('/api/tasks', { token: await token({ groups: [] }) })).json.code).toBe('role_required');
    expect((await service.get('/api/tasks', { token: `${await token({})}x` })).status).toBe(401);
  });

  it('is not guessed for long, whatever address is claimed, though not with a good key', async () => {
    const { key: token } = await make('good', ['viewer']);
    // No proxy is trusted here: where a caller says that it comes from changes nothing.
    const guess = (n: number) =>
      service.get('/api/tasks', {
        token: `tpk_${'x'.repeat(43)}`,
        headers: { 'X-Forwarded-For': `192.0.2.${n}`, Forwarded: `for=192.0.2.${n}` },
      });
    let answer = await guess(0);
    for (let n = 1; n < 25 && answer.status === 401; n++) answer = await guess(n);
    expect([answer.status, answer.json.code]).toEqual([429, 'too_many_requests']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
    expect((await service.get('/api/tasks', { token })).status).toBe(200);
  });
});
