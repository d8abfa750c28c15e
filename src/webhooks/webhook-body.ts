import { Ajv2020 } from 'ajv/dist/2020.js';
import { didYouMean } from '../common/did-you-mean.js';
import { Problem } from '../common/problem/problem.js';
import { explainErrors, type Wording } from '../common/schema/explain-errors.js';
import { type DocumentIssue, toItem } from '../common/yaml/document-issue.js';
import { documentKindOf } from '../common/yaml/media-type.js';
import { parseDocument } from '../common/yaml/parse-document.js';
import { EVENT_TYPES } from '../queue/events/event-types.js';
import { MAX_URL } from './outbound-url.js';
import type { Webhook } from './webhook.entity.js';

/** A webhook's fields as the API has them, checked; its address only for its form. */
export type WebhookBody = Partial<Pick<Webhook, 'url' | 'description' | 'events' | 'apps' | 'enabled'>>;

const APP_RULE = 'the name of an application, or a pattern such as frontend-*';
const TEXT_RULE = 'text of at most 500 characters, without NUL';
const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  properties: {
    url: { type: 'string', minLength: 1, maxLength: MAX_URL },
    description: {
      type: ['string', 'null'],
      maxLength: 500,
      pattern: '^[^\\u0000\\p{Surrogate}]*$',
      description: TEXT_RULE,
    },
    events: { type: 'array', minItems: 1, maxItems: 50, items: { type: 'string' } },
    apps: {
      type: ['array', 'null'],
      minItems: 1,
      maxItems: 100,
      items: { type: 'string', pattern: '^[A-Za-z0-9*][A-Za-z0-9*._-]{0,254}$', description: APP_RULE },
    },
    enabled: { type: 'boolean' },
  },
};

const ajv = new Ajv2020({ allErrors: true, verbose: true, strict: true, allowUnionTypes: true, strictTypes: false });
const matches = { whole: ajv.compile({ ...SCHEMA, required: ['url', 'events'] }), part: ajv.compile(SCHEMA) };

const EXAMPLES: Readonly<Record<string, string>> = {
  url: '"https://ci.example.com/hooks"',
  events: '["task.completed", "task.failed"]',
};
const wording: Wording = {
  ruleOf: ({ description }) => description,
  missingHint: (_, property) => `Add it, for example ${property}: ${EXAMPLES[property]}.`,
};

/** Reads a body in JSON or YAML; throws one Problem with all that is wrong. A part may leave out everything. */
export function readWebhook(
  body: Buffer | undefined,
  contentType: string | undefined,
  extent: 'whole' | 'part',
): WebhookBody {
  const document = parseDocument(body ?? Buffer.alloc(0), documentKindOf(contentType));
  const issues = issuesOf(document.value, extent);
  if (issues.length === 0) return document.value as WebhookBody;
  const errors = issues.map((issue) => toItem(document, issue));
  const detail = errors.length === 1 ? errors[0]!.message : `${errors.length} errors: see errors[]`;
  throw new Problem('invalid_parameter', detail, { errors });
}

function issuesOf(body: unknown, extent: 'whole' | 'part'): DocumentIssue[] {
  if (!matches[extent](body)) return explainErrors(matches[extent].errors ?? [], body, wording);
  const { events = [] } = body as WebhookBody;
  return events.flatMap((type, n) => (isKnown(type) ? [] : [unknownType(type, n)]));
}

const isKnown = (type: string) => type === '*' || (EVENT_TYPES as readonly string[]).includes(type);

function unknownType(type: string, n: number): DocumentIssue {
  const meant = didYouMean(type, EVENT_TYPES) ?? didYouMean(`task.${type}`, EVENT_TYPES);
  const hint = meant ? `Did you mean '${meant}'?` : `Known: *, ${EVENT_TYPES.join(', ')}.`;
  return { path: ['events', n], message: `unknown type of event '${type.slice(0, 80)}'`, hint };
}
