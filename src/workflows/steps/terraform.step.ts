import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { isMapping } from '../../common/yaml/is-mapping.js';
import { HeldFolder } from '../held-folder.js';
import type { ResolvedStep, StepContext, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { commandLine, quote } from './command-line.js';
import { operationSchema } from './operation-schema.js';
import { limited, outputText, parseAnswer } from './outputs.js';
import { withScratch } from './scratch.js';
import { ScriptRunner } from './script-runner.js';
import { existingInWorkspace, pathInWorkspace } from './workspace-path.js';

type Operation = 'apply' | 'init' | 'plan' | 'destroy' | 'output';

interface TerraformConfig {
  readonly operation?: Operation;
  readonly workingDir?: string;
  readonly path?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, unknown>>;
  readonly outputs?: readonly string[];
}

const FOLDER = ['workingDir', 'path'];
const NOT_BOTH = { not: { required: FOLDER } };

/** Terraform in a folder of the workspace. */
@StepType('terraform')
@Injectable()
export class TerraformStep implements StepRunner {
  readonly description = 'Runs terraform in a folder of the workspace; its outputs become those of the step.';
  readonly schema = operationSchema(
    {
      workingDir: {
        type: 'string',
        format: 'path',
        description: 'The folder with the configuration, below the workspace; the workspace itself unless given.',
        examples: ['terraform/database'],
      },
      path: { type: 'string', format: 'path', description: 'Another name for `workingDir`.', examples: ['terraform'] },
      files: {
        type: 'object',
        minProperties: 1,
        maxProperties: 100,
        propertyNames: { format: 'file-name' },
        additionalProperties: { type: 'string' },
        description: 'Files to write into the folder first, by name; the folder is then `terraform` unless given.',
        examples: [{ 'main.tf': 'resource "terraform_data" "demo" {}' }],
      },
      variables: {
        type: 'object',
        maxProperties: 500,
        propertyNames: { format: 'identifier' },
        additionalProperties: {},
        description: 'Input variables: texts, numbers, booleans, lists or mappings. They are in no command line.',
        examples: [{ region: 'eu-west-1' }],
      },
      outputs: {
        type: 'array',
        maxItems: 100,
        items: { type: 'string', format: 'identifier' },
        description: 'The outputs to keep; all that are not sensitive unless given.',
        examples: [['endpoint']],
      },
    },
    {
      apply: { fields: [...FOLDER, 'files', 'variables', 'outputs'], rules: NOT_BOTH },
      init: { fields: [...FOLDER, 'files'], rules: NOT_BOTH },
      plan: { fields: [...FOLDER, 'files', 'variables'], rules: NOT_BOTH },
      destroy: { fields: [...FOLDER, 'files', 'variables'], rules: NOT_BOTH },
      output: { fields: [...FOLDER, 'files', 'outputs'], rules: NOT_BOTH },
    },
  );

  readonly secrets = {
    // What bash cannot hold as a variable of its own, env(1) sets, on its command line.
    fields: ({ variables = {} }: TerraformConfig) =>
      Object.keys(variables).every((name) => /^\w+$/.test(name)) ? ['variables'] : [],
    hint: "A terraform step takes secrets in its variables, whose names have no '-' then, and in its env.",
  };

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash', 'terraform'];
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const config = step.config as unknown as TerraformConfig;
    const { operation = 'apply' } = config;
    const folder = await prepareFolder(config, context.workspace);
    return withScratch(context, { 'outputs.json': '{}' }, async (scratch, answer) => {
      const file = join(scratch, 'outputs.json');
      const lines = ['set -euo pipefail', `cd -- ${quote(folder)}`, INIT, ...SCRIPTS[operation](quote(file))];
      const result = await this.scriptRunner.run(lines.join('\n'), step, context, environment(config));
      if (result.status !== 'completed') return result;
      const outputs = selected(outputsIn(answer('outputs.json', ANSWER)), config.outputs);
      return { ...result, outputs: limited({ ...result.outputs, ...outputs }) };
    });
  }
}

async function prepareFolder({ workingDir, path, files }: TerraformConfig, workspace: string): Promise<string> {
  const name = workingDir ?? path ?? (files ? 'terraform' : '.');
  if (!files) return existingInWorkspace(workspace, name, 'folder');
  const folder = await pathInWorkspace(workspace, name);
  const held = HeldFolder.below(workspace, folder, true);
  try {
    for (const [file, text] of Object.entries(files)) {
      // Whatever a step has put there, a pipe or a link for one, is not opened.
      rmSync(held.at(file), { force: true });
      writeFileSync(held.at(file), text, { flag: 'wx' });
    }
  } finally {
    held.close();
  }
  return folder;
}

const COMMON = ['-input=false', '-no-color'];
/** Does nothing where it has been done; providers that are there already are not fetched again. */
const INIT = commandLine('terraform', 'init', ...COMMON);

const SCRIPTS: Record<Operation, (outputs: string) => string[]> = {
  init: () => [],
  plan: () => [
    'status=0',
    `${commandLine('terraform', 'plan', ...COMMON, '-detailed-exitcode')} || status=$?`,
    'case $status in',
    '  0) echo changed=false >>"$STEP_OUTPUT" ;;',
    '  2) echo changed=true >>"$STEP_OUTPUT" ;;',
    '  *) exit "$status" ;;',
    'esac',
  ],
  apply: (outputs) => [commandLine('terraform', 'apply', ...COMMON, '-auto-approve'), readOutputs(outputs)],
  destroy: () => [commandLine('terraform', 'destroy', ...COMMON, '-auto-approve')],
  output: (outputs) => [readOutputs(outputs)],
};

function readOutputs(file: string): string {
  return `${commandLine('terraform', 'output', '-json', '-no-color')} >${file}`;
}

function environment({ variables = {} }: TerraformConfig): Record<string, string> {
  const entries = Object.entries(variables).map(([name, value]) => [`TF_VAR_${name}`, variableText(value)]);
  return {
    ...(Object.fromEntries(entries) as Record<string, string>),
    TF_IN_AUTOMATION: '1',
    TF_INPUT: '0',
    CHECKPOINT_DISABLE: '1',
    // In the folder, and so in the workspace, whatever the step's environment says.
    TF_DATA_DIR: '.terraform',
  };
}

/** Terraform reads all but texts as an expression, in which a text may not begin a template of its own. */
function variableText(value: unknown): string {
  if (typeof value === 'string') return value;
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'string' ? part.replaceAll(/[$%]\{/g, (begin) => begin[0] + begin) : part,
  );
}

type TerraformOutputs = Readonly<Record<string, { readonly sensitive?: boolean; readonly value: unknown }>>;

const ANSWER = 'the answer of terraform output';

function outputsIn(text: string): TerraformOutputs {
  const outputs = parseAnswer(text, ANSWER);
  const isRight =
    isMapping(outputs) && Object.values(outputs).every((output) => isMapping(output) && 'value' in output);
  if (!isRight) throw new Error(`${ANSWER} is no list of outputs`);
  return outputs as TerraformOutputs;
}

/** Outputs are stored and shown; a sensitive one is left in Terraform's state. */
function selected(outputs: TerraformOutputs, names: readonly string[] | undefined): Record<string, string> {
  for (const name of names ?? []) {
    const output = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
    if (!output) {
      const known = Object.keys(outputs).join(', ');
      throw new Error(`terraform has no output '${name}'; it has ${known === '' ? 'none' : known}`);
    }
    if (output.sensitive) throw new Error(`the output '${name}' is sensitive, and is not stored: leave it out`);
  }
  return Object.fromEntries(
    Object.entries(outputs)
      .filter(([name, { sensitive }]) => !sensitive && (names?.includes(name) ?? true))
      .map(([name, { value }]) => [name, outputText(value)]),
  );
}
