import { Ajv2020 } from 'ajv/dist/2020.js';
import { APP_PATTERN } from '../../common/app-patterns.js';
import { isTime } from '../../common/http/is-time.js';
import { Problem } from '../../common/problem/problem.js';
import { explainErrors, type Wording } from '../../common/schema/explain-errors.js';
import { type DocumentIssue, toItem } from '../../common/yaml/document-issue.js';
import { documentKindOf } from '../../common/yaml/media-type.js';
import { parseDocument } from '../../common/yaml/parse-document.js';
import { type Role, ROLES } from '../roles.js';

/** A key's fields as the API has them, checked. */
export interface ApiKeyBody {
  readonly name?: string;
  readonly roles?: readonly Role[];
  readonly scopes?: readonly string[] | null;
  readonly expires_at?: string | null;
}

/** What stands in the ledger for others than keys, or has a colon in it as theirs do. */
const RESERVED = ['admin', 'unknown'];
const NAME_RULE = 'a name of letters, digits, ".", "_" and "-", beginning with a letter, at most 100 characters';
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    name: { type: 'string', pattern: '^[A-Za-z][A-Za-z0-9._-]{0,99}$', description: NAME_RULE },
    roles: { type: 'array', minItems: 1, maxItems: ROLES.length, uniqueItems: true, items: { enum: ROLES } },
    scopes: {
      type: ['array', 'null'],
      minItems: 1,
      maxItems: 100,
      items: {
        type: 'string',
        pattern: APP_PATTERN.source,
        description: 'the name of an application, or a pattern such as frontend-*',
      },
    },
    expires_at: { type: ['string', 'null'], maxLength: 100 },
  },
};

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true, strictTypes: false });
const matches = { whole: ajv.compile({ ...SCHEMA, required: ['name', 'roles'] }), part: ajv.compile(SCHEMA) };

const EXAMPLES: Readonly<Record<string, string>> = { name: '"ci-frontend"', roles: '["submitter"]' };
const wording: Wording = {
  ruleOf: ({ description }) => description,
  missingHint: (_, property) => `Add it, for example ${property}: ${EXAMPLES[property]}.`,
};

/** Reads a body in JSON or YAML; throws one Problem with all that is wrong. A part may leave out everything. */
export function readApiKey(
  body: Buffer | undefined,
  contentType: string | undefined,
  extent: 'whole' | 'part',
): ApiKeyBody {
  const document = parseDocument(body ?? Buffer.alloc(0), documentKindOf(contentType));
  const issues = issuesOf(document.value, extent);
  if (issues.length === 0) return withoutStar(document.value as ApiKeyBody);
  const errors = issues.map((issue) => toItem(document, issue));
  const detail = errors.length === 1 ? errors[0]!.message : `${errors.length} errors: see errors[]`;
  throw new Problem('invalid_parameter', detail, { errors });
}

function issuesOf(body: unknown, extent: 'whole' | 'part'): DocumentIssue[] {
  if (!matches[extent](body)) return explainErrors(matches[extent].errors ?? [], body, wording);
  const { name, expires_at: expiresAt } = body as ApiKeyBody;
  const issues: DocumentIssue[] = [];
  if (name !== undefined && RESERVED.includes(name)) {
    issues.push({ path: ['name'], message: `'${name}' is the service's own name`, hint: 'Choose another one.' });
  }
  if (typeof expiresAt === 'string' && !isTime(expiresAt)) {
    const hint = 'For example 2030-01-31T12:00:00Z; null for a key that does not expire.';
    issues.push({ path: ['expires_at'], message: `'expires_at' must be a time as RFC 3339 has it`, hint });
  }
  return issues;
}

/** A key for every application is one without scopes. */
function withoutStar(body: ApiKeyBody): ApiKeyBody {
  return body.scopes?.includes('*') ? { ...body, scopes: null } : body;
}
