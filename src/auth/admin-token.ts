import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

export interface AdminToken {
  readonly token: string;
  /** Where it is kept; undefined where the setting gave it. */
  readonly file?: string;
}

/** The token of ADMIN_TOKEN, or the one in DATA_DIR/admin-token, made at the first start and readable by its owner. */
export async function adminToken(setting: string | undefined, dataDir: string): Promise<AdminToken> {
  if (setting !== undefined) return { token: setting };
  const file = resolve(join(dataDir, 'admin-token'));
  await mkdir(dataDir, { recursive: true });
  try {
    const handle = await open(file, 'wx', 0o600);
    await handle.writeFile(`tp_${randomBytes(32).toString('base64url')}\n`);
    await handle.close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const token = (await readFile(file, 'utf8')).trim();
  if (token.length < 16) throw new Error(`${file} holds no usable token: delete it and start again`);
  return { token, file };
}
