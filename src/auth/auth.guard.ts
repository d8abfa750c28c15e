import { timingSafeEqual } from 'node:crypto';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { Problem } from '../common/problem/problem.js';
import { type AuthenticatedRequest, PUBLIC } from './principal.js';

export const ADMIN_TOKEN = Symbol('ADMIN_TOKEN');

/** Lets a request through that carries `Authorization: Bearer <token>`, or that asks for a public route. */
@Injectable()
export class AuthGuard implements CanActivate {
  private readonly expected: Buffer;

  constructor(
    private readonly reflector: Reflector,
    @Inject(ADMIN_TOKEN) token: string,
  ) {
    this.expected = Buffer.from(token);
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.reflector.getAllAndOverride<boolean>(PUBLIC, [context.getHandler(), context.getClass()])) return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const given = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (given === undefined) {
      throw new Problem('unauthorized', 'the request has no "Authorization: Bearer <key>" header', CHALLENGE);
    }
    if (!isSame(Buffer.from(given), this.expected)) {
      throw new Problem('unauthorized', 'the key is not known', CHALLENGE);
    }
    request.principal = { name: 'admin' };
    return true;
  }
}

const CHALLENGE = { headers: { 'WWW-Authenticate': 'Bearer realm="turnpike"' } };

/** In a time that tells nothing but whether the length is right, which is no secret. */
function isSame(given: Buffer, expected: Buffer): boolean {
  return given.length === expected.length && timingSafeEqual(given, expected);
}
