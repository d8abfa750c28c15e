import { realpathSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { isMapping } from '../../common/yaml/is-mapping.js';
import { HeldFolder } from '../held-folder.js';
import { outputText } from './outputs.js';
import { OUTPUT_LIMIT_BYTES, parseStepOutput, readRegularFile, type StepOutput } from './step-output.js';
import { pathInWorkspace } from './workspace-path.js';

const KEY = /^[A-Za-z_][A-Za-z0-9_-]*$/;

/**
 * The outputs that a step wrote into a file of its workspace, its `outputFile`: a JSON object, or lines as in
 * STEP_OUTPUT. The step, or whatever it ran, chose what is there: no link out of the workspace is followed.
 */
export async function readOutputFile(workspace: string, name: string): Promise<StepOutput> {
  let path: string;
  try {
    path = await pathInWorkspace(workspace, name);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { outputs: {}, problem: code ? `could not be read (${code})` : 'leads out of the workspace' };
  }
  const { content, problem } = readBelow(workspace, path);
  if (content === undefined) return { outputs: {}, problem: problem ?? 'does not exist' };
  // What is too large is told by the reader of lines, and never parsed as JSON.
  const isObject = content.length <= OUTPUT_LIMIT_BYTES && /^\s*\{/.test(content.toString('latin1'));
  return isObject ? parseObject(content) : parseStepOutput(content);
}

/** Reads what `path`, a real one, still is: nothing that a link leads to which has come into its way since. */
export function readBelow(workspace: string, path: string): ReturnType<typeof readRegularFile> {
  let folder: HeldFolder;
  try {
    if (path === realpathSync(workspace)) return { problem: 'is not a regular file' };
    folder = HeldFolder.below(workspace, dirname(path));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? {} : { problem: `could not be read (${code})` };
  }
  try {
    return readRegularFile(folder.at(basename(path)));
  } finally {
    folder.close();
  }
}

function parseObject(content: Buffer): StepOutput {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content));
  } catch {
    // Not with the parser's words, which quote what may be secret.
    return { outputs: {}, problem: 'begins as a JSON object but is no well-formed JSON' };
  }
  const entries = isMapping(value) ? Object.entries(value).filter(([, entry]) => entry !== null) : [];
  const outputs = entries.filter(([key]) => KEY.test(key)).map(([key, entry]) => [key, outputText(entry)] as const);
  const wrong = entries.length - outputs.length;
  return {
    outputs: Object.fromEntries(outputs),
    ...(wrong === 0 ? {} : { problem: `has ${wrong} key(s) that are no names of outputs (letters, digits, '_', '-')` }),
  };
}
