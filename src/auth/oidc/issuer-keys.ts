import { Logger } from '@nestjs/common';
import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';

/** The issuer does not answer, or not as it should. */
export class IssuerUnavailableError extends Error {
  override readonly name = 'IssuerUnavailableError';
}

const TIMEOUT_MS = 5_000;
/** An issuer that has failed is left alone for so long, however many tokens come. */
const REST_MS = 5_000;

type Keys = ReturnType<typeof createRemoteJWKSet>;

/** The public keys of an issuer: found through its discovery document unless their address is given, and kept. */
export class IssuerKeys {
  private readonly logger = new Logger('Auth');
  private keys: Keys | undefined;
  private finding: Promise<Keys> | undefined;
  private failedAt = -Infinity;

  constructor(
    private readonly issuer: string,
    private readonly jwksUrl: string | undefined,
  ) {}

  /** The key that has signed a token. Throws IssuerUnavailableError, or jose's error where the issuer has no such key. */
  readonly get: JWTVerifyGetKey = async (header, token) => {
    try {
      this.keys ??= await (this.finding ??= this.find().finally(() => (this.finding = undefined)));
      return await this.keys(header, token);
    } catch (error) {
      const isTokens = NO_KEY.some((type) => error instanceof type);
      if (isTokens) throw error;
      // Its keys may have another address by now.
      if (!this.keys?.fresh) this.keys = undefined;
      throw new IssuerUnavailableError(`the keys of ${this.issuer} cannot be read`, { cause: error });
    }
  };

  private async find(): Promise<Keys> {
    return createRemoteJWKSet(new URL(this.jwksUrl ?? (await this.discover())), {
      timeoutDuration: TIMEOUT_MS,
      [customFetch]: (url, options) => this.fetch(url, options),
    });
  }

  private async discover(): Promise<string> {
    const address = `${this.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await this.fetch(address, { signal, redirect: 'error', headers: { Accept: 'application/json' } });
    const { issuer, jwks_uri: keys } = (await answer.json()) as Record<string, unknown>;
    if (issuer !== this.issuer) throw this.failed(`${address} is of the issuer '${String(issuer)}'`);
    if (typeof keys !== 'string' || !URL.canParse(keys)) throw this.failed(`${address} names no jwks_uri`);
    return keys;
  }

  private async fetch(address: string, options: RequestInit): Promise<Response> {
    if (performance.now() - this.failedAt < REST_MS) throw new Error('it failed a moment ago');
    let answer: Response;
    try {
      answer = await fetch(address, options);
    } catch (error) {
      const { message, cause } = error as Error;
      throw this.failed(`${address}: ${cause instanceof Error ? cause.message : message}`);
    }
    if (answer.status !== 200) throw this.failed(`${address} answered with ${answer.status}`);
    this.failedAt = -Infinity;
    return answer;
  }

  private failed(why: string): Error {
    this.failedAt = performance.now();
    this.logger.warn({ msg: 'The identity provider cannot be asked', issuer: this.issuer, error: why });
    return new Error(why);
  }
}

const NO_KEY = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported];
