import { readFile } from 'node:fs/promises';
import type { Server } from 'node:https';
import { createSecureContext } from 'node:tls';

/** The files that make HTTP to HTTPS. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** Reads both, and makes sure that they belong together; throws an Error that names the file and what is wrong. */
export async function readTls({ certFile, keyFile }: TlsFiles): Promise<TlsMaterial> {
  const cert = await readNamed('TLS_CERT_FILE', certFile);
  const key = await readNamed('TLS_KEY_FILE', keyFile);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new Error(
      `TLS_CERT_FILE ${certFile} and TLS_KEY_FILE ${keyFile} cannot be used: they must be a certificate chain and its ` +
        `private key, both as PEM (${(error as Error).message})`,
      { cause: error },
    );
  }
  return { cert, key };
}

/** For connections made from now on; those that stand keep the certificate they began with. */
export async function renewTls(server: Server, files: TlsFiles): Promise<void> {
  server.setSecureContext(await readTls(files));
}

async function readNamed(setting: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new Error(`${setting} is '${file}': it cannot be read (${(error as Error).message})`, { cause: error });
  }
}
