import type { StepSchema } from '../step-runner.js';

const STATUS = { type: ['integer', 'array'], minimum: 100, maximum: 599, minItems: 1, items: { type: 'integer' } };
const TIME = { type: ['number', 'string'], exclusiveMinimum: 0, format: 'duration' };

export const HTTP_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];

export const HTTP_SCHEMA: StepSchema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: {
    url: {
      type: 'string',
      format: 'http-url',
      maxLength: 8192,
      description: 'The address, with http:// or https://.',
      examples: ['https://api.example.org/v1/deployments'],
    },
    method: { type: 'string', enum: HTTP_METHODS, description: '`GET` unless given.', examples: ['POST'] },
    headers: {
      type: 'object',
      maxProperties: 100,
      propertyNames: { format: 'header-name' },
      additionalProperties: { type: ['string', 'number', 'boolean'], format: 'header-value', maxLength: 8192 },
      description: 'Headers of the request, by name.',
      examples: [{ Authorization: 'Bearer …' }],
    },
    body: {
      description: 'A text, sent as it is, or any other value, sent as JSON.',
      examples: [{ version: '1.2.3' }],
    },
    expected_status: {
      ...STATUS,
      description: 'The status, or a list of those, that mean success; any from 200 to 299 unless given.',
      examples: [[200, 404]],
    },
    timeout: { ...TIME, description: 'How long one request may take; 30s unless given.', examples: ['10s'] },
    until: {
      type: 'object',
      additionalProperties: false,
      properties: {
        status: { ...STATUS, description: 'The status, or a list of those.' },
        body_contains: { type: 'string', minLength: 1, maxLength: 1000, description: 'A text in the body.' },
        json: {
          type: 'object',
          minProperties: 1,
          maxProperties: 50,
          propertyNames: { format: 'json-path' },
          additionalProperties: { type: ['string', 'number', 'boolean'] },
          description: 'Values in a JSON body, by their path.',
        },
        interval: { ...TIME, description: 'The time between two requests; 5s unless given.' },
        timeout: { ...TIME, description: 'How long to ask; 5m unless given.' },
      },
      anyOf: [{ required: ['status'] }, { required: ['body_contains'] }, { required: ['json'] }],
      description: 'Asks again until all of this holds. A request that fails is a no.',
      examples: [{ json: { 'status.phase': 'ready' }, interval: '5s', timeout: '10m' }],
    },
    outputs: {
      type: 'object',
      maxProperties: 50,
      propertyNames: { format: 'identifier' },
      additionalProperties: { type: 'string', format: 'json-path', maxLength: 500 },
      description: 'Outputs taken from a JSON body: names, and the path of each value.',
      examples: [{ id: 'deployment.id' }],
    },
  },
};

export interface HttpConfig {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: unknown;
  readonly expected_status?: number | readonly number[];
  readonly timeout?: number | string;
  readonly until?: {
    readonly status?: number | readonly number[];
    readonly body_contains?: string;
    readonly json?: Readonly<Record<string, string | number | boolean>>;
    readonly interval?: number | string;
    readonly timeout?: number | string;
  };
  readonly outputs?: Readonly<Record<string, string>>;
}
