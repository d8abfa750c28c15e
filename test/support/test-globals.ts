import 'reflect-metadata';

// In ES modules jest is no global; typed by @types/jest as one.
globalThis.jest = (import.meta as unknown as { jest: typeof jest }).jest;
