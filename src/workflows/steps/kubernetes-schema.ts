import type { StepSchema } from '../step-runner.js';
import { operationSchema } from './operation-schema.js';

const PATHS = {
  type: ['string', 'array'],
  format: 'path',
  minItems: 1,
  maxItems: 100,
  items: { type: 'string', format: 'path' },
};
const ONE_MANIFEST = [{ required: ['manifest'] }, { required: ['manifests'] }, { required: ['path'] }];

export interface KubernetesConfig {
  readonly operation?: 'apply' | 'delete' | 'get' | 'wait' | 'create-namespace';
  readonly namespace?: string;
  readonly manifest?: string | object;
  readonly manifests?: string | readonly string[];
  readonly path?: string | readonly string[];
  readonly resource?: string;
  readonly name?: string;
  readonly selector?: string;
  readonly condition?: string;
  readonly timeout?: number | string;
  readonly outputs?: Readonly<Record<string, string>>;
}

export const KUBERNETES_SCHEMA: StepSchema = operationSchema(
  {
    namespace: {
      type: 'string',
      format: 'kubernetes-namespace',
      description: "The namespace; kubectl's own default unless given.",
      examples: ['demo'],
    },
    manifest: {
      type: ['string', 'object', 'array'],
      minLength: 1,
      description: 'The manifest itself: a text with YAML or JSON, a mapping, or a list of those.',
      examples: [{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'demo' } }],
    },
    manifests: {
      ...PATHS,
      description: 'A file or folder of the workspace with manifests, or a list of those.',
      examples: ['manifests'],
    },
    path: { ...PATHS, description: 'Another name for `manifests`.', examples: ['manifests'] },
    resource: {
      type: 'string',
      format: 'kubernetes-resource',
      description: 'A kind of resource, or one of them: `deployment`, `deployment/web`.',
      examples: ['deployment/web'],
    },
    name: { type: 'string', format: 'kubernetes-name', description: 'The name of the resource.', examples: ['web'] },
    selector: {
      type: 'string',
      minLength: 1,
      maxLength: 1000,
      description: 'Labels that choose resources.',
      examples: ['app=web'],
    },
    condition: {
      type: 'string',
      minLength: 1,
      maxLength: 1000,
      description:
        'What to wait for: a condition such as `available`, `delete`, or `jsonpath={.status.phase}=Running`.',
      examples: ['available'],
    },
    timeout: {
      type: ['number', 'string'],
      exclusiveMinimum: 0,
      format: 'duration',
      description: 'How long `wait` waits, or `delete` for the end of what it deletes; 5m unless given.',
      examples: ['2m'],
    },
    outputs: {
      type: 'object',
      maxProperties: 50,
      propertyNames: { format: 'identifier' },
      additionalProperties: { type: 'string', format: 'json-path', maxLength: 500 },
      description: 'Outputs taken from what `get` answers, as JSON: names, and the path of each value.',
      examples: [{ ip: 'status.loadBalancer.ingress[0].ip' }],
    },
  },
  {
    apply: { fields: ['namespace', 'manifest', 'manifests', 'path'], rules: { oneOf: ONE_MANIFEST } },
    delete: {
      fields: ['namespace', 'manifest', 'manifests', 'path', 'resource', 'name', 'selector', 'timeout'],
      rules: { oneOf: [...ONE_MANIFEST, { required: ['resource'] }] },
    },
    get: { fields: ['namespace', 'resource', 'name', 'selector', 'outputs'], required: ['resource'] },
    wait: {
      fields: ['namespace', 'resource', 'name', 'selector', 'condition', 'timeout'],
      required: ['resource', 'condition'],
    },
    'create-namespace': { fields: ['namespace'], required: ['namespace'] },
  },
);
