import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { isMapping } from '../../common/yaml/is-mapping.js';
import type { ResolvedStep, StepConfig, StepContext, StepResult, StepRunner, StepSchema } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { commandLine, quote } from './command-line.js';
import { NETWORK_FIELD } from './network-field.js';
import { withScratch } from './scratch.js';
import { ScriptRunner } from './script-runner.js';
import { existingInWorkspace } from './workspace-path.js';

interface AnsibleConfig {
  readonly playbook: string | readonly unknown[];
  readonly workingDir?: string;
  readonly path?: string;
  readonly inventory?: string | readonly string[] | object;
  readonly extra_vars?: Readonly<Record<string, unknown>>;
  readonly limit?: string;
  readonly tags?: string | readonly string[];
  readonly check?: boolean;
}

const PATTERN = { type: 'string', format: 'ansible-pattern', maxLength: 1000 };

/** An Ansible playbook. */
@StepType('ansible')
@Injectable()
export class AnsibleStep implements StepRunner {
  readonly description = 'Runs an Ansible playbook with ansible-playbook.';
  readonly schema: StepSchema = {
    type: 'object',
    additionalProperties: false,
    required: ['playbook'],
    properties: {
      playbook: {
        type: ['string', 'array'],
        minLength: 1,
        minItems: 1,
        description: 'A file below the folder, or the playbook itself: a list of plays, or a text of several lines.',
        examples: ['site.yaml'],
      },
      workingDir: {
        type: 'string',
        format: 'path',
        description: 'The folder below the workspace in which it runs; the workspace itself unless given.',
        examples: ['ansible'],
      },
      path: { type: 'string', format: 'path', description: 'Another name for `workingDir`.', examples: ['ansible'] },
      inventory: {
        type: ['string', 'array', 'object'],
        minLength: 1,
        minItems: 1,
        items: { type: 'string', format: 'host' },
        description:
          'A file or folder below the folder, a list of hosts, or the inventory itself: a mapping, or a text of several lines. This machine (`localhost`) unless given.',
        examples: ['hosts.ini'],
      },
      extra_vars: {
        type: 'object',
        description: 'Variables for the playbook. They are in no command line, and are not read as templates.',
        examples: [{ version: '1.2.3' }],
      },
      limit: { ...PATTERN, description: 'Runs it for these hosts only.', examples: ['web'] },
      tags: {
        ...PATTERN,
        type: ['string', 'array'],
        minItems: 1,
        items: PATTERN,
        description: 'Runs tasks with these tags only.',
        examples: [['install']],
      },
      check: { type: 'boolean', description: 'Changes nothing, and says what it would change.', examples: [true] },
      network: NETWORK_FIELD,
    },
    not: { required: ['workingDir', 'path'] },
  };

  readonly secrets = {
    // Inventory and playbook stand in files of their own where they are not the name of one.
    fields: (config: StepConfig) => [
      'extra_vars',
      ...['inventory', 'playbook'].filter((field) => typeof config[field] !== 'string' || config[field].includes('\n')),
    ],
    hint: 'An ansible step takes secrets in its extra_vars, in an inventory or a playbook that it holds itself, and in its env.',
  };

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash', 'ansible-playbook'];
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const config = step.config as unknown as AnsibleConfig;
    const { workspace } = context;
    const name = config.workingDir ?? config.path ?? '.';
    const folder = await existingInWorkspace(workspace, name, 'folder');
    const inFolder = (path: string, kind: 'file' | 'any') => existingInWorkspace(workspace, join(name, path), kind);
    const inlinePlaybook = playbookText(config.playbook);
    const inlineInventory = inventoryFile(config.inventory);
    const files = {
      ...(inlinePlaybook === undefined ? {} : { 'playbook.yaml': inlinePlaybook }),
      ...(inlineInventory && { [inlineInventory.name]: inlineInventory.text }),
      'extra-vars.yaml': unsafeYaml(config.extra_vars ?? {}),
    };
    return withScratch(context, files, async (scratch) => {
      const inventory = inlineInventory
        ? join(scratch, inlineInventory.name)
        : await inFolder(config.inventory as string, 'any');
      const argv = [
        'ansible-playbook',
        `--inventory=${inventory}`,
        `--extra-vars=@${join(scratch, 'extra-vars.yaml')}`,
        ...(config.limit === undefined ? [] : [`--limit=${config.limit}`]),
        ...(config.tags === undefined ? [] : [`--tags=${[config.tags].flat().join(',')}`]),
        ...(config.check ? ['--check'] : []),
        '--',
        inlinePlaybook === undefined
          ? await inFolder(config.playbook as string, 'file')
          : join(scratch, 'playbook.yaml'),
      ];
      const script = `set -e\ncd -- ${quote(folder)}\n${commandLine(...argv)}`;
      return this.scriptRunner.run(script, step, context, environment(step));
    });
  }
}

/** A playbook that stands in the config itself, as YAML, which all JSON is; undefined where that names a file. */
function playbookText(playbook: AnsibleConfig['playbook']): string | undefined {
  if (typeof playbook === 'string') return playbook.includes('\n') ? playbook : undefined;
  return JSON.stringify(playbook);
}

/** The same for an inventory; Ansible knows the form by the name of the file. */
function inventoryFile(inventory: AnsibleConfig['inventory']): { name: string; text: string } | undefined {
  if (inventory === undefined) return { name: 'inventory', text: 'localhost ansible_connection=local\n' };
  if (Array.isArray(inventory)) return { name: 'inventory', text: `${inventory.join('\n')}\n` };
  if (typeof inventory === 'object') return { name: 'inventory.json', text: JSON.stringify(inventory) };
  return inventory.includes('\n') ? { name: 'inventory', text: inventory } : undefined;
}

/** A value as YAML. What looks like a template is marked, or Ansible would evaluate somebody's value. */
function unsafeYaml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(unsafeYaml).join(', ')}]`;
  if (isMapping(value)) {
    return `{${Object.entries(value)
      .map(([key, entry]) => `${JSON.stringify(key)}: ${unsafeYaml(entry)}`)
      .join(', ')}}`;
  }
  const marked = typeof value === 'string' && /\{[{%#]/.test(value);
  return marked ? `!unsafe ${JSON.stringify(value)}` : JSON.stringify(value);
}

function environment({ env }: ResolvedStep): Record<string, string> {
  const locale = env.LC_ALL ?? env.LANG ?? process.env.LC_ALL ?? process.env.LANG ?? '';
  return {
    PYTHONUNBUFFERED: '1',
    ANSIBLE_RETRY_FILES_ENABLED: 'false',
    ANSIBLE_LOCALHOST_WARNING: 'false',
    // It refuses to run without.
    ...(/utf-?8/i.test(locale) ? {} : { LC_ALL: 'C.UTF-8' }),
  };
}
