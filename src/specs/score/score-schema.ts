/**
 * The rules of `score.dev/v1b1`, written for good error messages: where a value may have one of two forms, the rule for
 * the form that was chosen is applied (`if`), instead of both being tried and both failing. `description` is what a
 * reader is told when a rule is broken. The tests compare its verdicts with the official schema's.
 *
 * There are no `$ref`s on purpose: Ajv makes a function of each and copies all errors found so far whenever one returns,
 * so that a document with ten thousand errors would take seconds.
 */

const LABEL = {
  pattern: '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$',
  description: "2 to 63 lower-case letters, digits and '-', with a letter or digit at both ends",
} as const;

const TYPE_NAME = {
  type: 'string',
  pattern: '^[A-Za-z0-9][A-Za-z0-9-]{0,61}[A-Za-z0-9]$',
  description: "2 to 63 letters, digits and '-', with a letter or digit at both ends",
} as const;

const NOT_EMPTY = { type: 'string', minLength: 1, description: 'a text that is not empty' } as const;

const PORT = { type: 'integer', minimum: 1, maximum: 65535, description: 'a port number from 1 to 65535' } as const;

const ANNOTATIONS = {
  type: 'object',
  additionalProperties: { type: 'string' },
  propertyNames: {
    // The pattern alone bounds the name, but not the number of labels in the prefix.
    maxLength: 316,
    pattern:
      '^(([a-z0-9][a-z0-9-]{0,61}[a-z0-9])(\\.[a-z0-9][a-z0-9-]{0,61}[a-z0-9])*/)?[A-Za-z0-9][A-Za-z0-9._-]{0,61}[A-Za-z0-9]$',
    description:
      "2 to 63 letters, digits, '.', '_' and '-', after a lower-case host name and '/' if wanted, at most 316 characters",
  },
} as const;

const RESOURCE_AMOUNTS = {
  type: 'object',
  additionalProperties: false,
  properties: {
    memory: {
      type: 'string',
      pattern: '^(0\\.\\d+|[1-9]\\d*(\\.\\d+)?)(K|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$',
      description: 'a number of bytes with an optional unit, such as "128Mi" or "1.5G"',
    },
    cpu: {
      type: 'string',
      pattern: '^\\d+(?:m|\\.\\d+)?$',
      description: 'a number of processors such as "2" or "0.5", or thousandths such as "250m"',
    },
  },
} as const;

const FILE_FIELDS = {
  mode: {
    type: 'string',
    pattern: '^0?[0-7]{3}$',
    description: 'three octal digits in quotes, such as "0644"',
  },
  source: NOT_EMPTY,
  content: { type: 'string' },
  binaryContent: { type: 'string' },
  noExpand: { type: 'boolean' },
} as const;

const ONE_CONTENT = [{ required: ['content'] }, { required: ['binaryContent'] }, { required: ['source'] }] as const;

const VOLUME_FIELDS = { source: { type: 'string' }, path: { type: 'string' }, readOnly: { type: 'boolean' } } as const;

/** A mapping by target path, or, deprecated, a list of entries that carry their target. */
function mapOrList(entry: object, listed: object): object {
  return {
    type: ['object', 'array'],
    if: { type: 'array' },
    then: { type: 'array', items: listed },
    else: { type: 'object', additionalProperties: entry },
  };
}

const FILES = mapOrList(
  { type: 'object', additionalProperties: false, properties: FILE_FIELDS, oneOf: ONE_CONTENT },
  {
    type: 'object',
    additionalProperties: false,
    properties: { ...FILE_FIELDS, target: NOT_EMPTY },
    oneOf: ONE_CONTENT,
  },
);

const VOLUMES = mapOrList(
  { type: 'object', additionalProperties: false, required: ['source'], properties: VOLUME_FIELDS },
  {
    type: 'object',
    additionalProperties: false,
    required: ['source'],
    properties: { ...VOLUME_FIELDS, target: { type: 'string' } },
  },
);

const TEXTS = { type: 'array', items: { type: 'string' } } as const;

const HTTP_HEADER = {
  type: 'object',
  additionalProperties: false,
  required: ['name', 'value'],
  properties: {
    name: { type: 'string', pattern: '^[A-Za-z0-9_-]+$', description: "letters, digits, '_' and '-'" },
    value: NOT_EMPTY,
  },
} as const;

const PROBE = {
  type: 'object',
  additionalProperties: false,
  properties: {
    httpGet: {
      type: 'object',
      additionalProperties: false,
      required: ['port', 'path'],
      properties: {
        host: NOT_EMPTY,
        scheme: { type: 'string', enum: ['HTTP', 'HTTPS'] },
        path: { type: 'string' },
        port: PORT,
        httpHeaders: { type: 'array', items: HTTP_HEADER },
      },
    },
    exec: { type: 'object', additionalProperties: false, required: ['command'], properties: { command: TEXTS } },
  },
  anyOf: [{ required: ['httpGet'] }, { required: ['exec'] }],
} as const;

const BEFORE = {
  type: 'object',
  additionalProperties: false,
  required: ['ready'],
  properties: { ready: { type: 'string', enum: ['started', 'healthy', 'complete'] } },
} as const;

const CONTAINER = {
  type: 'object',
  additionalProperties: false,
  required: ['image'],
  properties: {
    image: NOT_EMPTY,
    command: TEXTS,
    args: TEXTS,
    variables: {
      type: 'object',
      propertyNames: { pattern: '^[^=]+$', description: "a name without '='" },
      additionalProperties: { type: 'string' },
    },
    files: FILES,
    volumes: VOLUMES,
    before: { type: 'object', propertyNames: LABEL, additionalProperties: BEFORE },
    resources: {
      type: 'object',
      additionalProperties: false,
      properties: { limits: RESOURCE_AMOUNTS, requests: RESOURCE_AMOUNTS },
    },
    livenessProbe: PROBE,
    readinessProbe: PROBE,
  },
} as const;

const SERVICE_PORT = {
  type: 'object',
  additionalProperties: false,
  required: ['port'],
  properties: { port: PORT, targetPort: PORT, protocol: { type: 'string', enum: ['TCP', 'UDP'] } },
} as const;

const RESOURCE = {
  type: 'object',
  additionalProperties: false,
  required: ['type'],
  properties: {
    type: TYPE_NAME,
    class: TYPE_NAME,
    id: {
      type: 'string',
      minLength: 2,
      maxLength: 63,
      pattern: '^[a-z0-9]+(?:-+[a-z0-9]+)*(?:\\.[a-z0-9]+(?:-+[a-z0-9]+)*)*$',
      description: "2 to 63 lower-case letters, digits and '-', in parts divided by '.'",
    },
    metadata: { type: 'object', properties: { annotations: ANNOTATIONS } },
    params: { type: 'object' },
  },
} as const;

export const SCORE_API_VERSION = 'score.dev/v1b1';

export const SCORE_SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['apiVersion', 'metadata', 'containers'],
  properties: {
    apiVersion: { type: 'string', const: SCORE_API_VERSION },
    metadata: {
      type: 'object',
      required: ['name'],
      properties: { name: { type: 'string', ...LABEL }, annotations: ANNOTATIONS },
    },
    service: {
      type: 'object',
      additionalProperties: false,
      properties: { ports: { type: 'object', propertyNames: LABEL, additionalProperties: SERVICE_PORT } },
    },
    containers: { type: 'object', minProperties: 1, propertyNames: LABEL, additionalProperties: CONTAINER },
    resources: { type: 'object', propertyNames: LABEL, additionalProperties: RESOURCE },
  },
} as const;
