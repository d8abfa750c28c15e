import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Injectable } from '@nestjs/common';
import type { ResolvedStep, StepContext, StepResult, StepRunner } from '../step-runner.js';
import { StepType } from '../step-type.decorator.js';
import { commandLine, quote } from './command-line.js';
import { operationSchema } from './operation-schema.js';
import { withScratch } from './scratch.js';
import { ScriptRunner } from './script-runner.js';
import { pathInWorkspace } from './workspace-path.js';

interface GitConfig {
  readonly operation: 'clone' | 'commit' | 'push';
  readonly repository?: string;
  readonly branch?: string;
  readonly depth?: number;
  readonly directory?: string;
  readonly message?: string;
  readonly author?: string;
  readonly files?: readonly string[];
}

const DEFAULT_AUTHOR = 'Turnpike <turnpike@localhost>';
/** Hands git what stands in the step's environment, so that it is on no command line. */
const CREDENTIAL_HELPER =
  '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "${GIT_USERNAME:-git}" "$GIT_PASSWORD"; }; f';

/** Clones, commits and pushes with git. */
@StepType('git')
@Injectable()
export class GitStep implements StepRunner {
  readonly description = 'Clones a repository into the workspace, commits files of it, or pushes its commits.';
  readonly schema = operationSchema(
    {
      repository: {
        type: 'string',
        format: 'git-url',
        maxLength: 2048,
        description: 'The address to clone from, or to push to; for a push, where it was cloned from unless given.',
        examples: ['https://git.example.org/team/app.git'],
      },
      branch: {
        type: 'string',
        format: 'git-branch',
        description:
          "The branch to clone, or to push to; the repository's main branch, or the present one, unless given.",
        examples: ['main'],
      },
      depth: { type: 'integer', minimum: 1, description: 'Clones so many commits only.', examples: [1] },
      directory: {
        type: 'string',
        format: 'path',
        description: 'The folder below the workspace; `repository` unless given.',
        examples: ['app'],
      },
      message: {
        type: 'string',
        minLength: 1,
        maxLength: 65536,
        description: "The commit's message.",
        examples: ['Release 1.2.3'],
      },
      author: {
        type: 'string',
        format: 'git-author',
        maxLength: 500,
        description: `Who commits; \`${DEFAULT_AUTHOR}\` unless given.`,
        examples: ['Ada Lovelace <ada@example.org>'],
      },
      files: {
        type: 'array',
        minItems: 1,
        maxItems: 1000,
        items: { type: 'string', format: 'path' },
        description: 'What to commit, files or folders of the repository; all changes unless given.',
        examples: [['manifests']],
      },
    },
    {
      clone: { fields: ['repository', 'branch', 'depth', 'directory'], required: ['repository'] },
      commit: { fields: ['directory', 'message', 'author', 'files'], required: ['message'] },
      push: { fields: ['repository', 'branch', 'directory'] },
    },
    { named: true },
  );

  readonly secrets = {
    fields: () => [],
    hint: 'A git step takes secrets in its env: GIT_PASSWORD, or GIT_SSH_COMMAND with the place of a key (${secrets.NAME.file}).',
  };

  constructor(private readonly scriptRunner: ScriptRunner) {}

  programs(): string[] {
    return ['bash', 'git'];
  }

  async run(step: ResolvedStep, context: StepContext): Promise<StepResult> {
    const config = step.config as unknown as GitConfig;
    const name = config.directory ?? 'repository';
    const folder = await pathInWorkspace(context.workspace, name);
    if (config.operation !== 'clone' && !(await isThere(join(folder, '.git')))) {
      throw new Error(`there is no git repository in '${name}': clone one with an earlier step`);
    }
    return withScratch(context, { message: config.message ?? '' }, (scratch) => {
      const script = SCRIPTS[config.operation](config, folder, join(scratch, 'message'));
      return this.scriptRunner.run(`set -euo pipefail\n${script}`, step, context, environment(step, config, folder));
    });
  }
}

const SCRIPTS: Record<GitConfig['operation'], (config: GitConfig, folder: string, messageFile: string) => string> = {
  // A run that goes on where one was lost clones anew.
  clone: ({ repository, branch, depth }, folder) => {
    const options = [
      ...(branch === undefined ? [] : [`--branch=${branch}`]),
      ...(depth === undefined ? [] : [`--depth=${depth}`]),
    ];
    return `
      if [ -e ${quote(join(folder, '.git'))} ]; then ${commandLine('rm', '-rf', '--', folder)}; fi
      ${commandLine('git', 'clone', ...options, '--', repository!, folder)}
      cd -- ${quote(folder)}
      echo "commit=$(git rev-parse --quiet --verify HEAD || true)" >>"$STEP_OUTPUT"`;
  },
  commit: ({ files }, folder, messageFile) => `
      cd -- ${quote(folder)}
      ${commandLine('git', 'add', ...(files ? ['--', ...files] : ['--all']))}
      if git diff --cached --quiet; then
        echo 'there is nothing to commit'
        echo changed=false >>"$STEP_OUTPUT"
      else
        ${commandLine('git', 'commit', `--file=${messageFile}`)}
        echo changed=true >>"$STEP_OUTPUT"
      fi
      echo "commit=$(git rev-parse --quiet --verify HEAD || true)" >>"$STEP_OUTPUT"`,
  push: ({ repository, branch }, folder) => `
      cd -- ${quote(folder)}
      remote=${quote(repository ?? 'origin')}
      branch=${branch === undefined ? '$(git symbolic-ref --short HEAD)' : quote(branch)}
      commit=$(git rev-parse --verify HEAD)
      before=$(git ls-remote -- "$remote" "refs/heads/$branch")
      git push -- "$remote" "HEAD:refs/heads/$branch"
      changed=true
      if [ "\${before%%[[:space:]]*}" = "$commit" ]; then changed=false; fi
      printf 'commit=%s\\nchanged=%s\\n' "$commit" "$changed" >>"$STEP_OUTPUT"`,
};

function environment({ env }: ResolvedStep, { author = DEFAULT_AUTHOR }: GitConfig, folder: string) {
  const [, name = '', email = ''] = /^(.*) <(.*)>$/.exec(author) ?? [];
  return {
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'http:https:ssh:git:file',
    // A folder that is no repository is not taken for part of one around it.
    GIT_CEILING_DIRECTORIES: dirname(folder),
    ...(env.GIT_SSH_COMMAND === undefined ? { GIT_SSH_COMMAND: 'ssh -o BatchMode=yes' } : {}),
    ...{ GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email },
    ...(env.GIT_PASSWORD === undefined
      ? {}
      : { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'credential.helper', GIT_CONFIG_VALUE_0: CREDENTIAL_HELPER }),
  };
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
