import type { ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { AuthGuard } from './auth.guard.js';
import type { Authenticator } from './authenticator.js';
import type { RefusedRequests } from './refused-requests.js';
import { Problem } from '../common/problem/problem.js';
import { type AuthenticatedRequest, type Principal, Public, Requires } from './principal.js';

class Routes {
  @Public()
  open(): void {}

  unsaid(): void {}

  @Requires('tasks:read')
  read(): void {}

  @Requires('tasks:cancel', { own: 'tasks:cancel-own' })
  cancel(): void {}

  @Requires('instances:read')
  instances(): void {}
}

async function ask(route: keyof Routes, caller: Partial<Principal> = {}, refusal?: Problem, exceeded?: Problem) {
  const principal: Principal = { name: 'eve', roles: [], ...caller };
  const authenticate = jest.fn(async (_header?: string, _address?: string) => {
    if (refusal) throw refusal;
    return principal;
  });
  const count = jest.fn(async () => exceeded);
  const request = { headers: { authorization: 'Bearer x' }, ip: '10.0.0.1' } as AuthenticatedRequest;
  const context = {
    getHandler: () => Routes.prototype[route],
    getClass: () => Routes,
    switchToHttp: () => ({ getRequest: () => request }),
  } as unknown as ExecutionContext;
  const refused = { count } as unknown as RefusedRequests;
  const guard = new AuthGuard(new Reflector(), { authenticate } as unknown as Authenticator, refused);
  return { answer: await guard.canActivate(context), request, authenticate, count };
}

describe('AuthGuard', () => {
  it('asks nobody at a public route', async () => {
    const { answer, authenticate } = await ask('open');
    expect(answer).toBe(true);
    expect(authenticate).not.toHaveBeenCalled();
  });

  it('notes who it is', async () => {
    const { request, authenticate } = await ask('read', { roles: ['viewer'] });
    expect(request.principal).toEqual({ name: 'eve', roles: ['viewer'] });
    expect(authenticate).toHaveBeenCalledWith('Bearer x', '10.0.0.1');
  });

  it.each<[keyof Routes, Principal['roles'], string]>([
    ['read', [], "'eve' has no role, but this needs tasks:read: the role viewer or submitter or"],
    ['cancel', ['viewer'], "'eve' has the role viewer, but this needs tasks:cancel: the role operator or admin"],
    ['cancel', ['viewer', 'approver'], "'eve' has the roles viewer, approver, but"],
    ['unsaid', ['operator'], 'but this needs keys:manage: the role admin'],
  ])('refuses %s to the roles %p, and names those that may', async (route, roles, detail) => {
    const refused = { code: 'role_required', status: 403, detail: expect.stringContaining(detail) };
    await expect(ask(route, { roles })).rejects.toMatchObject(refused);
  });

  it('counts who is not known, and no others, and says so when that is too often', async () => {
    expect((await ask('read', { roles: ['viewer'] })).count).not.toHaveBeenCalled();
    const unknown = new Problem('unauthorized', 'the key is not known');
    await expect(ask('read', {}, unknown)).rejects.toBe(unknown);
    const exceeded = new Problem('too_many_requests', 'wait');
    await expect(ask('read', {}, unknown, exceeded)).rejects.toBe(exceeded);
    const away = new Problem('database_unavailable', 'away');
    await expect(ask('read', {}, away, exceeded)).rejects.toBe(away);
  });

  it('leaves to the route whether the task is the caller´s own', async () => {
    expect((await ask('cancel', { roles: ['submitter'] })).answer).toBe(true);
  });

  it('refuses what is about all applications to a key for some, whatever its roles', async () => {
    expect((await ask('instances', { roles: ['viewer'] })).answer).toBe(true);
    await expect(ask('instances', { roles: ['admin'], scopes: ['shop'] })).rejects.toMatchObject({
      code: 'out_of_scope',
      detail: "'eve' is for the application shop only, but instances:read is about all applications",
    });
  });

  it('gives a route that says nothing to admins', async () => {
    expect((await ask('unsaid', { roles: ['admin'] })).answer).toBe(true);
  });
});
