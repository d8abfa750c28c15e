import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, realpathSync } from 'node:fs';
import { join, sep } from 'node:path';
import { Inject, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { SECRET_NAME } from './secret-references.js';

/** Injection token of `SecretOptions`. */
export const SECRET_OPTIONS = Symbol('SECRET_OPTIONS');

export interface SecretOptions {
  /** A folder with a file for each secret; undefined for none. */
  readonly directory?: string;
  /** How the names of environment variables begin that hold secrets. */
  readonly envPrefix: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Whether this instance runs steps. */
  readonly isWorker: boolean;
}

export interface Secret {
  readonly value: string;
  /** As it is stored: with the line feed at its end that is no part of the value. */
  readonly content: string;
}

/** A secret that cannot be used; the message is a sentence that names it, and never holds a part of its value. */
export class SecretError extends Error {
  override readonly name = 'SecretError';
}

/** Below what one variable of a script's environment can hold. */
const MAX_BYTES = 64 * 1024;
/** Of shorter ones every output is full: masking them would mask everything, and not masking them would show them. */
const MIN_CHARACTERS = 8;
/** While Kubernetes exchanges all files of a folder, a link may lead to what has just gone. */
const READS = 3;

/**
 * The secrets of this worker: files of SECRETS_DIR, and variables of the environment for those that no file has. Each is
 * read when it is used, so that one that was exchanged is used from then on.
 */
@Injectable()
export class SecretSource implements OnApplicationBootstrap {
  private readonly logger = new Logger('Secrets');

  constructor(@Inject(SECRET_OPTIONS) private readonly options: SecretOptions) {}

  /** Whoever runs the service hears at once of what no step could use. */
  onApplicationBootstrap(): void {
    if (!this.options.isWorker) return;
    for (const name of this.names()) {
      try {
        this.read(name);
      } catch (error) {
        this.logger.warn({ msg: 'A secret cannot be used', secret: name, error: (error as Error).message });
      }
    }
  }

  /** Throws a SecretError. */
  read(name: string): Secret {
    const { directory, envPrefix } = this.options;
    // A name is never a part of a path unless it is one.
    if (!SECRET_NAME.test(name)) throw new SecretError(`'${name.slice(0, 80)}' is no name of a secret`);
    const content = this.ofFile(name) ?? this.ofEnvironment(name);
    if (content === undefined) {
      const file = directory === undefined ? 'SECRETS_DIR is not set' : `there is no file '${name}' in SECRETS_DIR`;
      const variable = `the environment has no ${envPrefix}${name}`;
      throw new SecretError(`the secret '${name}' is not on this worker: ${file}, and ${variable}`);
    }
    return checked(name, content);
  }

  private names(): string[] {
    const { directory, envPrefix, env } = this.options;
    const variables = Object.keys(env).filter((key) => key.startsWith(envPrefix));
    const names = [...this.files(directory), ...variables.map((key) => key.slice(envPrefix.length))];
    return [...new Set(names)].filter((name) => SECRET_NAME.test(name));
  }

  private files(directory: string | undefined): string[] {
    if (directory === undefined) return [];
    try {
      return readdirSync(directory);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      this.logger.warn({ msg: 'SECRETS_DIR cannot be read', directory, error: code });
      return [];
    }
  }

  private ofEnvironment(name: string): Buffer | undefined {
    const { env, envPrefix } = this.options;
    const value = env[envPrefix + name];
    return value === undefined ? undefined : Buffer.from(value);
  }

  private ofFile(name: string): Buffer | undefined {
    const { directory } = this.options;
    if (directory === undefined) return undefined;
    for (let reads = 1; ; reads++) {
      try {
        return readWithin(directory, name);
      } catch (error) {
        if (error instanceof SecretError) throw error;
        const { code = 'unknown' } = error as NodeJS.ErrnoException;
        if (code !== 'ENOENT') throw new SecretError(`the secret '${name}' cannot be read from SECRETS_DIR (${code})`);
        if (reads >= READS) return undefined;
      }
    }
  }
}

/** Kubernetes makes each file a link to one in a folder that is a link itself: all of them lead below the folder. */
function readWithin(directory: string, name: string): Buffer {
  const root = realpathSync(directory);
  const path = realpathSync(join(root, name));
  if (!path.startsWith(root === sep ? sep : root + sep)) {
    throw new SecretError(`the secret '${name}' is a link that leads out of SECRETS_DIR`);
  }
  // Opening a pipe would block; whatever is put there meanwhile is not followed.
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(file).isFile()) throw new SecretError(`the secret '${name}' is no regular file in SECRETS_DIR`);
    const content = Buffer.alloc(MAX_BYTES + 1);
    let length = 0;
    for (;;) {
      const bytesRead = readSync(file, content, length, content.length - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return content.subarray(0, length);
  } finally {
    closeSync(file);
  }
}

/** As text, without the line feed that editors and `echo` end a file with. */
function checked(name: string, content: Buffer): Secret {
  if (content.length > MAX_BYTES) {
    throw new SecretError(`the secret '${name}' is longer than ${MAX_BYTES / 1024} KiB`);
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new SecretError(`the secret '${name}' is no UTF-8 text: store it in base64, and decode it in the step`);
  }
  if (text.includes('\0')) throw new SecretError(`the secret '${name}' holds a NUL, which no step can be given`);
  const value = text.replace(/\r?\n$/, '');
  if (value.trim().length < MIN_CHARACTERS) {
    const why = 'one so short cannot be masked in what steps write';
    throw new SecretError(`the secret '${name}' has fewer than ${MIN_CHARACTERS} characters: ${why}`);
  }
  return { value, content: text };
}
