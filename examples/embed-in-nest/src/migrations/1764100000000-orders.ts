import type { MigrationInterface, QueryRunner } from 'typeorm';

export class Orders1764100000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      CREATE TABLE orders (
        id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        item    text NOT NULL,
        shipped boolean NOT NULL DEFAULT false
      )`);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query('DROP TABLE orders');
  }
}
