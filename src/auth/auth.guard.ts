import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { may, mustBeUnscoped, roleRequired } from './access.js';
import { Authenticator } from './authenticator.js';
import { type AuthenticatedRequest, type Principal, PUBLIC, REQUIREMENT, type Requirement } from './principal.js';
import { isRefusal, RefusedRequests } from './refused-requests.js';
import { UNSCOPED_ONLY } from './roles.js';

/** What a route needs that says nothing itself: the admin's. */
const UNSAID: Requirement = { permission: 'keys:manage' };

/** Lets a request through whose caller is known and may do what the route does, or that asks for a public route. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    private readonly reflector: Reflector,
    private readonly authenticator: Authenticator,
    private readonly refused: RefusedRequests,
  ) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const marks: [() => unknown, new () => unknown] = [context.getHandler() as () => unknown, context.getClass()];
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, marks)) return true;
    const requirement = this.reflector.getAllAndOverride<Requirement | undefined>(REQUIREMENT, marks) ?? UNSAID;
    return this.admit(context.switchToHttp().getRequest<AuthenticatedRequest>(), requirement);
  }

  private async admit(request: AuthenticatedRequest, { permission, own }: Requirement): Promise<boolean> {
    const caller = await this.callerOf(request);
    // Whether the task is the caller's own is looked at where the task is.
    if (!may(caller, permission) && (own === undefined || !may(caller, own))) throw roleRequired(caller, permission);
    if (UNSCOPED_ONLY.has(permission)) mustBeUnscoped(caller, permission);
    request.principal = caller;
    return true;
  }

  private async callerOf(request: AuthenticatedRequest): Promise<Principal> {
    try {
      return await this.authenticator.authenticate(request.headers.authorization, request.ip);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      throw (await this.refused.count(request)) ?? error;
    }
  }
}
