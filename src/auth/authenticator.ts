import { timingSafeEqual } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { isDatabaseUnavailable } from '../common/problem/database-errors.js';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { type Found, KeyRing } from './keys/key-ring.js';
import { hashOf, prefixOf } from './keys/secret.js';
import { LoginFailures } from './login-failures.js';
import { isToken, TokenVerifier } from './oidc/token-verifier.js';
import type { Principal } from './principal.js';

export const ADMIN_TOKEN = Symbol('ADMIN_TOKEN');

/** Whoever carries the admin token. */
export const ADMIN: Principal = { name: 'admin', roles: ['admin'] };

/** Finds out who makes a request: by the admin token, a key, or a token of the identity provider. */
@Injectable()
export class Authenticator {
  private readonly adminHash: Buffer;
  private readonly tokens: TokenVerifier | undefined;

  constructor(
    @Inject(ADMIN_TOKEN) adminToken: string,
    private readonly keys: KeyRing,
    private readonly failures: LoginFailures,
    settings: Settings,
  ) {
    this.adminHash = hashOf(adminToken);
    this.tokens = settings.OIDC_ISSUER === undefined ? undefined : new TokenVerifier(settings);
  }

  /** Throws a Problem (401, 429) for whoever is not known. */
  async authenticate(authorization: string | undefined, address: string): Promise<Principal> {
    if (authorization === undefined) {
      throw new Problem('unauthorized', 'the request has no "Authorization: Bearer <key>" header', CHALLENGE);
    }
    const given = keyOf(authorization);
    if (given === undefined) throw this.refused(address, 'the Authorization header is not "Bearer <key>"');
    // Hashes are of one length: the time tells nothing of the token.
    if (timingSafeEqual(hashOf(given), this.adminHash)) return ADMIN;
    const found = await this.find(given);
    if ('principal' in found) return found.principal;
    throw this.refused(address, found.refused, prefixOf(given));
  }

  /**
   * Whether the caller may still do what it could when the header let it in; costs nobody anything but a look at the copy of
   * the keys. What a token says cannot change, so it is its end alone that is looked at. While the database is away there
   * is nothing to be seen: it holds.
   */
  async isStill(caller: Principal, authorization = ''): Promise<boolean> {
    if (caller === ADMIN) return true;
    const given = keyOf(authorization);
    if (given === undefined) return false;
    if (this.tokens && isToken(given)) return this.tokens.isInTime(given);
    try {
      const found = await this.keys.find(given);
      return 'principal' in found && isDeepStrictEqual(found.principal, caller);
    } catch (error) {
      return isDatabaseUnavailable(error);
    }
  }

  private find(given: string): Promise<Found> {
    return this.tokens && isToken(given) ? this.tokens.verify(given) : this.keys.find(given);
  }

  private refused(address: string, reason: string, keyPrefix?: string): Problem {
    const seconds = this.failures.note({ address, reason, ...(keyPrefix === undefined ? {} : { keyPrefix }) });
    if (seconds === 0) return new Problem('unauthorized', reason, INVALID);
    const headers = { ...INVALID.headers, 'Retry-After': String(seconds) };
    return new Problem('too_many_requests', `${reason}, and too many requests from this address were refused`, {
      headers,
    });
  }
}

function keyOf(authorization: string): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1];
}

const CHALLENGE = { headers: { 'WWW-Authenticate': 'Bearer realm="turnpike"' } };
const INVALID = { headers: { 'WWW-Authenticate': 'Bearer realm="turnpike", error="invalid_token"' } };
