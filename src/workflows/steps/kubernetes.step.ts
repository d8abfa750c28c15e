import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { durationMs } from '../step-formats.js';
import type { Masks } from '../secrets/secret-masks.js';
import type { ResolvedStep, StepConfig, StepContext, StepProblem, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { commandLine, quote } from './command-line.js';
import { KUBERNETES_SCHEMA, type KubernetesConfig } from './kubernetes-schema.js';
import { limited, namedOutputs, parseAnswer, WHOLE_LIMIT } from './outputs.js';
import { withScratch } from './scratch.js';
import { ScriptRunner } from './script-runner.js';
import { existingInWorkspace } from './workspace-path.js';

const ANSWER = 'the answer of kubectl';

/** kubectl with the cluster of the step's KUBECONFIG. */
@StepType('kubernetes')
@Injectable()
export class KubernetesStep implements StepRunner {
  readonly description = 'Applies, deletes, reads or waits for Kubernetes resources with kubectl.';
  readonly schema = KUBERNETES_SCHEMA;
  readonly secrets = {
    fields: () => ['manifest'],
    hint: "A kubernetes step takes secrets in its manifest, and in its env: KUBECONFIG: '${secrets.NAME.file}'.",
  };

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash', 'kubectl'];
  }

  check(config: StepConfig): StepProblem[] {
    const { operation, resource, name, selector } = config as KubernetesConfig;
    if (name !== undefined && selector !== undefined) {
      return [
        {
          path: ['selector'],
          part: 'key',
          message: "'name' and 'selector' cannot stand together",
          hint: 'Keep one of them.',
        },
      ];
    }
    if (resource?.includes('/') && !resource.includes('${') && (name ?? selector) !== undefined) {
      const message = `'resource' names one resource already`;
      return [
        { path: ['resource'], message, hint: `Write the kind alone, such as "resource: ${resource.split('/')[0]}".` },
      ];
    }
    const needsOne = operation === 'wait' || operation === 'delete';
    if (!needsOne || resource === undefined || /\/|\$\{/.test(resource) || (name ?? selector) !== undefined) return [];
    const message = `'name' or 'selector' is missing: '${resource}' alone would be all of them`;
    return [{ path: ['name'], message, hint: 'Add "name: web" or "selector: app=web".' }];
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const config = step.config as KubernetesConfig;
    const { operation = 'apply' } = config;
    const paths = await Promise.all(
      [config.manifests ?? config.path ?? []].flat().map((path) => existingInWorkspace(context.workspace, path, 'any')),
    );
    return withScratch(context, { manifest: manifestText(config), 'answer.json': '' }, async (scratch, answer) => {
      const files = paths.length > 0 ? paths : [join(scratch, 'manifest')];
      const command = commandLine('kubectl', ...SUBCOMMANDS[operation](config, files));
      const script = operation === 'get' ? `${command} >${quote(join(scratch, 'answer.json'))}` : command;
      const result = await this.scriptRunner.run(`set -e\n${script}`, step, context);
      if (result.status !== 'completed' || operation !== 'get') return result;
      const outputs = outputsOf(config, answer('answer.json', ANSWER), context.masks);
      return { ...result, outputs: limited({ ...result.outputs, ...outputs }) };
    });
  }
}

const SUBCOMMANDS: Record<
  NonNullable<KubernetesConfig['operation']>,
  (config: KubernetesConfig, files: readonly string[]) => string[]
> = {
  apply: (config, files) => ['apply', ...namespaceOf(config), ...files.map((file) => `--filename=${file}`)],
  'create-namespace': (_config, files) => ['apply', ...files.map((file) => `--filename=${file}`)],
  delete: (config, files) => [
    ...['delete', ...namespaceOf(config), '--ignore-not-found=true', '--wait=true', timeoutOf(config)],
    ...(config.resource === undefined ? files.map((file) => `--filename=${file}`) : chosen(config)),
  ],
  get: (config) => ['get', ...namespaceOf(config), '--output=json', ...chosen(config)],
  wait: (config) => [
    ...['wait', ...namespaceOf(config), `--for=${conditionOf(config.condition!)}`, timeoutOf(config)],
    ...chosen(config),
  ],
};

function namespaceOf({ namespace }: KubernetesConfig): string[] {
  return namespace === undefined ? [] : [`--namespace=${namespace}`];
}

function timeoutOf({ timeout }: KubernetesConfig): string {
  return `--timeout=${Math.max(1, Math.ceil(durationMs(timeout ?? '5m') / 1000))}s`;
}

function chosen({ resource, name, selector }: KubernetesConfig): string[] {
  const what = name === undefined ? resource! : `${resource}/${name}`;
  return [...(selector === undefined ? [] : [`--selector=${selector}`]), '--', what];
}

function conditionOf(condition: string): string {
  return condition.includes('=') || ['delete', 'create'].includes(condition) ? condition : `condition=${condition}`;
}

function manifestText({ operation, namespace, manifest }: KubernetesConfig): string {
  if (operation === 'create-namespace') {
    return JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  }
  if (manifest === undefined || typeof manifest === 'string') return manifest ?? '';
  return JSON.stringify(
    Array.isArray(manifest) ? { apiVersion: 'v1', kind: 'List', items: manifest as unknown[] } : manifest,
  );
}

function outputsOf({ outputs }: KubernetesConfig, text: string, masks: Masks): Record<string, string> {
  // Nothing at all is what kubectl writes where nothing matches.
  const answer: unknown = text.trim() === '' ? {} : parseAnswer(text, ANSWER);
  const named = namedOutputs(answer, outputs, 'the answer');
  return Buffer.byteLength(text) > WHOLE_LIMIT ? named : { json: masks.text(JSON.stringify(answer)), ...named };
}
