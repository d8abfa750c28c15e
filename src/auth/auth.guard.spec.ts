import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { adminToken } from './admin-token.js';
import { AuthGuard } from './auth.guard.js';
import { Public, type AuthenticatedRequest } from './principal.js';

class Routes {
  @Public()
  open(): void {}

  closed(): void {}
}

function contextOf(route: keyof Routes, authorization?: string) {
  const request = { headers: { authorization } } as AuthenticatedRequest;
  const context = {
    getHandler: () => Routes.prototype[route],
    getClass: () => Routes,
    switchToHttp: () => ({ getRequest: () => request }),
  } as unknown as ExecutionContext;
  return { context, request };
}

describe('AuthGuard', () => {
  const guard = new AuthGuard(new Reflector(), 'the-right-token');

  it('knows who carries the token', () => {
    const { context, request } = contextOf('closed', 'Bearer the-right-token');
    expect(guard.canActivate(context)).toBe(true);
    expect(request.principal).toEqual({ name: 'admin' });
  });

  it('takes the scheme in any case', () => {
    expect(guard.canActivate(contextOf('closed', 'bearer the-right-token').context)).toBe(true);
  });

  it.each([
    ...[undefined, '', 'Bearer', 'Bearer ', 'Basic the-right-token', 'the-right-token'],
    ...['Bearer wrong', 'Bearer the-wrong-token', 'Bearer the-right-toke', 'Bearer the-right-tokens'],
  ])('refuses %p, and says how to ask', (authorization) => {
    const { context, request } = contextOf('closed', authorization);
    expect(() => guard.canActivate(context)).toThrow(
      expect.objectContaining({ code: 'unauthorized', headers: { 'WWW-Authenticate': 'Bearer realm="turnpike"' } }),
    );
    expect(request.principal).toBeUndefined();
  });

  it('lets everyone to a public route', () => {
    expect(guard.canActivate(contextOf('open').context)).toBe(true);
  });
});

describe('the admin token', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'turnpike-auth-'));
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  it('is the setting where there is one', async () => {
    expect(await adminToken('from-the-setting', dataDir)).toEqual({ token: 'from-the-setting' });
  });

  it('is made once, for its owner only', async () => {
    const made = await adminToken(undefined, join(dataDir, 'new'));
    expect(made.token).toMatch(/^tp_[\w-]{43}$/);
    expect(await readFile(made.file!, 'utf8')).toBe(`${made.token}\n`);
    expect((await stat(made.file!)).mode & 0o777).toBe(0o600);
    expect(await adminToken(undefined, join(dataDir, 'new'))).toEqual(made);
  });

  it('is refused where the file holds none', async () => {
    await writeFile(join(dataDir, 'admin-token'), '\n');
    await expect(adminToken(undefined, dataDir)).rejects.toThrow(/delete it and start again/);
  });
});
