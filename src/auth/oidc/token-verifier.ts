import { decodeJwt, errors, jwtVerify } from 'jose';
import { Problem } from '../../common/problem/problem.js';
import type { Settings } from '../../config/settings.js';
import type { Found } from '../keys/key-ring.js';
import { claimOf, parseRoleMap, rolesOf, scopesOf } from './claims.js';
import { IssuerKeys, IssuerUnavailableError } from './issuer-keys.js';

/** Before the names of people: no key is called so, and no part of the service. */
export const NAME_MARK = 'oidc:';
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const CLOCKS_DIFFER_SECONDS = 10;
const MAX_NAME = 200;
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Has the form of a signed token, which no key has. */
export const isToken = (text: string): boolean => JWT.test(text);

/** Tokens of an identity provider: whose they are, by what their claims say. */
export class TokenVerifier {
  private readonly issuer: string;
  private readonly keys: IssuerKeys;
  private readonly roleMap;

  constructor(private readonly settings: Settings) {
    this.issuer = settings.OIDC_ISSUER!;
    this.keys = new IssuerKeys(this.issuer, settings.OIDC_JWKS_URL);
    this.roleMap = parseRoleMap(settings.OIDC_ROLE_MAP!);
  }

  /** Throws a Problem (503) where the issuer's keys cannot be had. */
  async verify(token: string): Promise<Found> {
    try {
      const { payload } = await jwtVerify(token, this.keys.get, {
        ...{ issuer: this.issuer, audience: this.settings.OIDC_AUDIENCE!, algorithms: ALGORITHMS },
        ...{ clockTolerance: CLOCKS_DIFFER_SECONDS, requiredClaims: ['exp'] },
      });
      return this.read(payload);
    } catch (error) {
      if (error instanceof IssuerUnavailableError) {
        const headers = { 'Retry-After': '5' };
        throw new Problem('identity_provider_unavailable', error.message, { headers, cause: error });
      }
      if (error instanceof errors.JOSEError) return { refused: reasonOf(error) };
      throw error;
    }
  }

  /** Whether a token that was verified has not expired since. */
  isInTime(token: string): boolean {
    const { exp = 0 } = decodeJwt(token);
    return exp + CLOCKS_DIFFER_SECONDS > Date.now() / 1_000;
  }

  private read(claims: Readonly<Record<string, unknown>>): Found {
    const { OIDC_NAME_CLAIM: nameClaim, OIDC_ROLES_CLAIM: rolesClaim, OIDC_SCOPES_CLAIM: scopesClaim } = this.settings;
    const name = claimOf(claims, nameClaim);
    // It goes into the ledger as it is.
    if (typeof name !== 'string' || name === '' || name.length > MAX_NAME || /[\p{Cc}\p{Surrogate}]/u.test(name)) {
      return { refused: `the token's claim '${nameClaim}' is no name` };
    }
    const scopes = scopesClaim === undefined ? undefined : scopesOf(claimOf(claims, scopesClaim));
    const roles = rolesOf(claimOf(claims, rolesClaim), this.roleMap);
    return { principal: { name: NAME_MARK + name, roles, ...(scopes === undefined ? {} : { scopes }) } };
  }
}

function reasonOf(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired';
  if (error instanceof errors.JWTClaimValidationFailed) {
    return `the token's claim '${error.claim}' is ${error.reason === 'missing' ? 'missing' : 'not what it must be'}`;
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return 'the token is not signed with an algorithm that is allowed';
  if (NO_SUCH_KEY.some((type) => error instanceof type)) return "the token is not signed with one of the issuer's keys";
  return 'the token is not valid';
}

const NO_SUCH_KEY = [errors.JWKSNoMatchingKey, errors.JWSSignatureVerificationFailed, errors.JWKSMultipleMatchingKeys];
